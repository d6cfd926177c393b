// Package plugins registers the one kind of service discovery that the platform uses beside files and HTTP: the others
// bring in the development kits of twenty clouds, which is most of the time of a build.
package plugins

import (
	_ "github.com/prometheus/prometheus/discovery/kubernetes"
)
