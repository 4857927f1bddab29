const { authenticate, defineMiddlewares } = require("@medusajs/framework/http")
const carts = require("../lib/carts")
const guard = require("../lib/guard")

// Matchers without a method run before all routes, prefix by prefix, in the order of their depth.
module.exports = {
  __esModule: true,
  default: defineMiddlewares({
    routes: [
      { matcher: "/admin/erp/*", method: ["POST"], bodyParser: { sizeLimit: "10mb" } },
      { matcher: "/admin/price-lists", method: ["POST"], bodyParser: { sizeLimit: "10mb" } },
      { matcher: "/auth", middlewares: [guard.currentLogin] },
      { matcher: "/auth/customer/emailpass", middlewares: [guard.buyersLogin] },
      { matcher: "/store", middlewares: [guard.currentLogin, guard.noForgedMetadata, guard.noRawPrices] },
      { matcher: "/store/carts", middlewares: [carts.newCart] },
      { matcher: "/store/carts/:id", middlewares: [carts.knownCart] },
      { matcher: "/store/erp", middlewares: [authenticate("customer", ["session", "bearer"])] },
    ],
  }),
}
