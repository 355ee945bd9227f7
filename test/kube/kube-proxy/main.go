// SPDX-License-Identifier: Apache-2.0

// Command kube-proxy is upstream's, which benchmarks/scale measures sluice
// against. It is a program of its own, since what the others link would count as
// its memory.
package main

import (
	"os"

	"k8s.io/component-base/cli"
	"k8s.io/kubernetes/cmd/kube-proxy/app"
)

func main() {
	os.Exit(cli.Run(app.NewProxyCommand()))
}
