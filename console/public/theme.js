// Before the first paint: nobody who works in the dark is to see a white page first. No inline script is allowed.
try {
  const chosen = localStorage.getItem('holdfast.theme')
  const dark = chosen === 'dark' || (chosen !== 'light' && matchMedia('(prefers-color-scheme: dark)').matches)
  document.documentElement.classList.toggle('dark', dark)
} catch {
  // Without storage the page is light.
}
