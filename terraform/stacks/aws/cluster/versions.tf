terraform {
  required_version = ">= 1.11.0, < 2.0.0"

  backend "s3" {}

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = "5.100.0"
    }
  }
}

# Credentials, and in tests an address, come by the environment. The account is proven before anything is touched.
provider "aws" {
  region              = var.location
  allowed_account_ids = [var.account]

  default_tags {
    tags = {
      "kontrol:region" = var.region
      "kontrol:state"  = "cluster"
    }
  }
}
