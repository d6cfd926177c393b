// Package v1: in the collector nobody asks for the description of Prometheus' API, whose libraries are a third of a build.
package v1

import (
	"log/slog"
	"net/http"
)

// OpenAPIOptions are taken and not used.
type OpenAPIOptions struct{ ExternalURL, Version string }

// OpenAPIBuilder describes nothing.
type OpenAPIBuilder struct{}

// NewOpenAPIBuilder returns a builder that describes nothing.
func NewOpenAPIBuilder(OpenAPIOptions, *slog.Logger) *OpenAPIBuilder { return &OpenAPIBuilder{} }

// ServeOpenAPI answers that there is no description.
func (*OpenAPIBuilder) ServeOpenAPI(w http.ResponseWriter, r *http.Request) { http.NotFound(w, r) }

// WrapHandler returns the handler as it is.
func (*OpenAPIBuilder) WrapHandler(next http.HandlerFunc) http.HandlerFunc { return next }
