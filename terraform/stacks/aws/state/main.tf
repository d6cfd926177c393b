# The bucket that keeps all states, this one included. It belongs to no region and goes with none.

import {
  to = module.states.aws_s3_bucket.this
  id = var.bucket
}

module "states" {
  source = "../../../modules/aws_bucket"

  name = var.bucket
}
