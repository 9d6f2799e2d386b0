import { defineConfig } from '@hey-api/openapi-ts'

export default defineConfig({
  input: '../build/openapi.json',
  output: { path: 'src/api/generated' },
  plugins: ['@hey-api/typescript'],
})
