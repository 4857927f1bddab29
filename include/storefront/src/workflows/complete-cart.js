const { completeCartWorkflow } = require("@medusajs/medusa/core-flows")
const { mayComplete } = require("../lib/carts")

completeCartWorkflow.hooks.validate(async ({ input }, { container }) => mayComplete(container, input.id))
