const { defineConfig } = require("@medusajs/framework/utils")

const { CROSSDOCK_SHOP_FILES: files, CROSSDOCK_SHOP_URL: url } = process.env

module.exports = defineConfig({
  projectConfig: {
    databaseUrl: process.env.DATABASE_URL,
    databaseDriverOptions: { ssl: false, pool: { min: 1, max: 10 } },
    http: {
      storeCors: process.env.STORE_CORS,
      adminCors: process.env.ADMIN_CORS,
      authCors: process.env.AUTH_CORS,
      jwtSecret: process.env.JWT_SECRET,
      cookieSecret: process.env.COOKIE_SECRET,
    },
  },
  admin: { disable: true },
  featureFlags: { translation: true },
  modules: [
    { resolve: "./src/modules/erp" },
    { resolve: "@medusajs/medusa/translation" },
    ...(files
      ? [
          {
            resolve: "@medusajs/medusa/file",
            options: {
              providers: [
                {
                  resolve: "@medusajs/medusa/file-local",
                  id: "local",
                  options: { upload_dir: files, backend_url: `${url}/erp/files` },
                },
              ],
            },
          },
        ]
      : []),
  ],
})
