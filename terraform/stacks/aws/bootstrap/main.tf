# The bare bucket that every state of this account and location will be in. Its own state is thrown away: the stack
# `state` takes the bucket in, gives it its settings and keeps it true from then on.

resource "aws_s3_bucket" "states" {
  bucket = var.bucket
}
