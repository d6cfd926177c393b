# What outlives every cluster of a region: its key, and the store of its backups.

resource "aws_kms_key" "region" {
  description             = "Backups and secrets of the region ${var.region}"
  enable_key_rotation     = true
  deletion_window_in_days = 30
}

resource "aws_kms_alias" "region" {
  name          = "alias/kontrol-${var.region}"
  target_key_id = aws_kms_key.region.key_id
}

module "backups" {
  source = "../../../modules/aws_bucket"

  name    = var.backup_bucket
  key_arn = aws_kms_key.region.arn
}
