const { ContainerRegistrationKeys } = require("@medusajs/framework/utils")

/** The shop's database: one knex connection pool for all of Medusa's modules and ours. */
const database = (scope) => scope.resolve(ContainerRegistrationKeys.PG_CONNECTION)

module.exports = { database }
