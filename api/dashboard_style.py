"""How the dashboard looks."""

STYLE = """
:root{--page:#f6f7f9;--card:#fff;--line:#e3e6ea;--text:#1c2127;--quiet:#667080;--hue:#3461d1;--soft:#3461d122;
--bad:#c22f3d;--badsoft:#c22f3d14;--good:#1d7f4e;--goodsoft:#1d7f4e14}
@media(prefers-color-scheme:dark){:root{--page:#12151a;--card:#1b2027;--line:#2c333d;--text:#e8ebef;--quiet:#98a3b3;
--hue:#7ea2ff;--soft:#7ea2ff22;--bad:#ff7f8a;--badsoft:#ff7f8a1c;--good:#5fd39a;--goodsoft:#5fd39a1a}}
*{box-sizing:border-box}
body{margin:0;background:var(--page);color:var(--text);font:15px/1.45 system-ui,-apple-system,"Segoe UI",sans-serif;
font-variant-numeric:tabular-nums}
main{max-width:1320px;margin:0 auto;padding:28px 24px 56px}
header{display:flex;flex-wrap:wrap;justify-content:space-between;align-items:end;gap:16px;margin-bottom:20px}
h1{font-size:24px;line-height:1.2;margin:0;letter-spacing:-.01em}
h2{font-size:13px;font-weight:600;margin:0;color:var(--quiet)}
p{margin:0}
.quiet{color:var(--quiet);font-size:13px}
nav{display:flex;border:1px solid var(--line);border-radius:8px;overflow:hidden;background:var(--card)}
nav a{padding:6px 14px;color:var(--quiet);text-decoration:none;font-size:14px}
nav a+a{border-left:1px solid var(--line)}
nav a:hover{color:var(--text)}
nav a[aria-current]{color:var(--text);font-weight:600;background:var(--soft)}
.calm,.alarm{border-radius:10px;padding:12px 16px;margin-bottom:16px}
.calm{background:var(--goodsoft);color:var(--good)}
.alarm{background:var(--badsoft)}
.alarm ul{list-style:none;margin:0;padding:0;display:flex;flex-wrap:wrap;gap:6px 36px}
.alarm b{color:var(--bad);font-size:18px;margin-right:4px}
.alarm span{color:var(--quiet);font-size:13px;margin-left:8px}
.tiles{display:grid;grid-template-columns:repeat(4,1fr);gap:16px;margin-bottom:16px}
.tile,.card{background:var(--card);border:1px solid var(--line);border-radius:10px}
.tile{padding:14px 0 0;overflow:hidden;display:flex;flex-direction:column}
.tile h2,.tile p{padding:0 16px}
.big{font-size:30px;font-weight:650;line-height:1.25;letter-spacing:-.02em}
.bad .big{color:var(--bad)}
.spark{display:block;width:100%;height:44px;margin-top:8px}
.spark polygon{fill:var(--soft)}
.spark polyline{fill:none;stroke:var(--hue);stroke-width:1.5;vector-effect:non-scaling-stroke}
.bad .spark polygon{fill:var(--badsoft)}
.bad .spark polyline{stroke:var(--bad)}
.columns{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,480px),1fr));gap:16px;margin-bottom:16px;align-items:start}
.three{align-items:stretch;grid-template-columns:repeat(auto-fill,minmax(min(100%,340px),1fr))}
.card{padding:16px;min-width:0}
.card h2{margin-bottom:10px;color:var(--text);font-size:14px}
.wide{overflow-x:auto}
table{border-collapse:collapse;width:100%;font-size:14px}
th{font-weight:500;color:var(--quiet);font-size:12px;text-align:left;padding:0 0 6px;white-space:nowrap}
td{padding:6px 0;border-top:1px solid var(--line)}
th+th,td+td{padding-left:14px}
.n{text-align:right;white-space:nowrap}
.zero{color:var(--line)}
.bars{list-style:none;margin:0;padding:0;display:grid;gap:9px}
.bars li{display:grid;grid-template-columns:1fr auto;gap:3px 12px;font-size:14px}
.bar{grid-column:1/-1;width:100%;height:6px;border-radius:3px;background:var(--soft)}
.bar rect,.histogram rect{fill:var(--hue)}
.histogram{display:block;width:100%;height:120px;border-bottom:1px solid var(--line)}
.ends{display:flex;justify-content:space-between;margin-top:4px}
@media(max-width:900px){main{padding:20px 14px 40px}.tiles{grid-template-columns:repeat(2,1fr);gap:10px}
.tile h2,.tile p{padding:0 12px}.big{font-size:24px}.columns{gap:10px;margin-bottom:10px}}
""".strip()
"""Colours as variables, twice: for light and for dark. The policy of the page allows exactly this text."""
