const { authenticate, defineMiddlewares } = require("@medusajs/framework/http")
const carts = require("../lib/carts")
const { markAccount } = require("../lib/drafts")
const { oneAtATime } = require("../lib/fulfilments")
const guard = require("../lib/guard")
const { stockAtRest } = require("../lib/stock-lock")
const { hideWithdrawn, onlyBuyable } = require("../lib/withdrawn")

// Matchers without a method run before all routes, prefix by prefix, in the order of their depth.
module.exports = {
  __esModule: true,
  default: defineMiddlewares({
    routes: [
      { matcher: "/admin/erp/*", method: ["POST"], bodyParser: { sizeLimit: "10mb" } },
      ...["images", "documents/files"].map((path) => ({
        matcher: `/admin/erp/${path}`,
        method: ["POST"],
        bodyParser: { sizeLimit: "16mb" },
      })),
      { matcher: "/admin/price-lists", method: ["POST"], bodyParser: { sizeLimit: "10mb" } },
      ...["orders/:id/fulfillments", "erp/orders/:id/returns", "erp/orders/:id/refunds"].map((path) => ({
        matcher: `/admin/${path}`,
        middlewares: [oneAtATime],
      })),
      ...["orders/:id/fulfillments", "orders/:id/cancel", "erp/orders/:id/returns", "returns/:id/receive/confirm"].map(
        (path) => ({ matcher: `/admin/${path}`, middlewares: [stockAtRest] })
      ),
      { matcher: "/admin/draft-orders/:id/convert-to-order", method: ["POST"], middlewares: [markAccount] },
      { matcher: "/auth", middlewares: [guard.currentLogin] },
      { matcher: "/auth/customer/emailpass", middlewares: [guard.buyersLogin] },
      { matcher: "/store", middlewares: [guard.currentLogin, guard.noForgedMetadata, guard.noRawPrices] },
      { matcher: "/store/carts", middlewares: [carts.newCart] },
      { matcher: "/store/carts/:id", middlewares: [carts.knownCart] },
      { matcher: "/store/carts", method: ["POST"], middlewares: [onlyBuyable] },
      { matcher: "/store/carts/:id/line-items", method: ["POST"], middlewares: [onlyBuyable] },
      ...["products", "product-variants", "product-categories", "collections"].map((list) => ({
        matcher: `/store/${list}`,
        middlewares: [hideWithdrawn],
      })),
      { matcher: "/store/erp", middlewares: [authenticate("customer", ["session", "bearer"])] },
    ],
  }),
}
