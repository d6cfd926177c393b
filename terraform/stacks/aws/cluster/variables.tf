variable "account" {
  description = "Number of the account that all this belongs to; another one is refused."
  type        = string

  validation {
    condition     = can(regex("^[0-9]{12}$", var.account))
    error_message = "An account is a number of 12 digits."
  }
}

variable "location" {
  description = "Region of AWS."
  type        = string
}

variable "network_cidr" {
  description = "Addresses of the network, cut into 16 equal parts: one for each subnet, the rest for later."
  type        = string

  validation {
    condition     = can(cidrnetmask(var.network_cidr)) && try(tonumber(split("/", var.network_cidr)[1]) <= 20, false)
    error_message = "A network is an IPv4 range of /20 or larger, such as 10.20.0.0/16."
  }
}

variable "region" {
  description = "Name of the localization region."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]*$", var.region))
    error_message = "A region has small letters, digits and hyphens."
  }
}
