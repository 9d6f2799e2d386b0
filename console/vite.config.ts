import tailwindcss from '@tailwindcss/vite'
import react from '@vitejs/plugin-react'
import { defineConfig } from 'vite'

const API = 'http://127.0.0.1:8000'

export default defineConfig({
  base: '/console/',
  plugins: [react(), tailwindcss()],
  resolve: { alias: { '@': '/src' } },
  build: {
    target: 'es2023',
    // Nothing inline: the policy of the page allows no data: scripts and fonts.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
  },
  server: {
    proxy: Object.fromEntries(
      ['session', 'handoffs', 'interactions', 'conversations', 'customers', 'deliveries', 'dead-letters', 'audit',
        'effects', 'metrics', 'operators', 'errors', 'readyz'].map((path) => [`/${path}`, API]),
    ),
  },
})
