import { svelte } from '@sveltejs/vite-plugin-svelte'
import { defineConfig } from 'vite'

// Everything leaves as files of our own: the page's policy allows neither inline code nor another origin.
export default defineConfig({
  plugins: [svelte()],
  build: {
    outDir: process.env.BRAINROUTER_PAGE_DIR || 'dist',
    emptyOutDir: true,
    assetsDir: 'page',
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    target: 'es2022',
  },
  // `npm run dev` beside a running daemon. The guard wants its own origin, so the proxy gives it that.
  server: {
    proxy: Object.fromEntries(
      ['/api', '/health', '/review/api'].map((path) => [
        path,
        { target: 'http://127.0.0.1:9099', changeOrigin: true, headers: { origin: 'http://127.0.0.1:9099' } },
      ]),
    ),
  },
})
