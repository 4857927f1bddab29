const { createHash } = require("node:crypto")
const { MedusaError } = require("@medusajs/framework/utils")
const { uploadFilesWorkflow } = require("@medusajs/medusa/core-flows")
const { database } = require("./database")

/** The images of these SHA-256 digests that the shop has: {digest, url}. */
const imagesOf = (scope, digests) => database(scope)("erp_image").select("digest", "url").whereIn("digest", digests)

/**
 * Store images by Medusa's file module, each content once.
 * @param {{digest: string, name: string, mime_type: string, content: string}[]} images content in base64
 */
async function putImages(scope, images) {
  for (const { digest, content } of images) {
    if (createHash("sha256").update(Buffer.from(content, "base64")).digest("hex") !== digest) {
      throw new MedusaError(MedusaError.Types.INVALID_DATA, `The content of image ${digest} has another digest`)
    }
  }
  const digests = images.map((image) => image.digest)
  const known = new Set((await imagesOf(scope, digests)).map((image) => image.digest))
  const files = images
    .filter((image) => !known.has(image.digest))
    .map(({ name, mime_type, content }) => ({ filename: name, mimeType: mime_type, content, access: "public" }))
  if (files.length) {
    const { result } = await uploadFilesWorkflow(scope).run({ input: { files } })
    const rows = images.filter((image) => !known.has(image.digest)).map(({ digest }, n) => ({ digest, url: result[n].url }))
    await database(scope)("erp_image").insert(rows).onConflict("digest").ignore()
  }
  return imagesOf(scope, digests)
}

module.exports = { imagesOf, putImages }
