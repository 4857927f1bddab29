const { MedusaError } = require("@medusajs/framework/utils")
const { imagesOf, putImages } = require("../../../../lib/images")

/** GET /admin/erp/images?digest[]=SHA256 -> {images: [{digest, url}]}: those of them that are here. */
module.exports.GET = async (req, res) => res.json({ images: await imagesOf(req.scope, [req.query.digest ?? []].flat()) })

/** POST /admin/erp/images {images: [{digest, name, mime_type, content}]} -> as GET. Content in base64; 16 MB in all. */
module.exports.POST = async (req, res) => {
  const images = req.body?.images
  const fields = ["digest", "name", "mime_type", "content"]
  if (!Array.isArray(images) || images.some((image) => fields.some((name) => typeof image?.[name] !== "string"))) {
    throw new MedusaError(MedusaError.Types.INVALID_DATA, `images: a list of {${fields.join(", ")}} is expected`)
  }
  res.json({ images: await putImages(req.scope, images) })
}
