// SPDX-License-Identifier: Apache-2.0

// Command control-plane is the part of a Kubernetes control plane that
// sluice's kube tests need: etcd, kube-apiserver or kube-controller-manager,
// chosen by its first argument. One program instead of three halves the time
// and the disk that linking them takes.
package main

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"
	"go.etcd.io/etcd/server/v3/etcdmain"
	"k8s.io/component-base/cli"
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	controllers "k8s.io/kubernetes/cmd/kube-controller-manager/app"
)

func main() {
	if len(os.Args) < 2 {
		fmt.Fprintln(os.Stderr, "usage: control-plane etcd|kube-apiserver|kube-controller-manager [FLAG ...]")
		os.Exit(2)
	}

	name := os.Args[1]
	args := append([]string{name}, os.Args[2:]...)
	var command func() *cobra.Command

	switch name {
	case "etcd":
		etcdmain.Main(args)
		return
	case "kube-apiserver":
		command = apiserver.NewAPIServerCommand
	case "kube-controller-manager":
		command = controllers.NewControllerManagerCommand
	default:
		fmt.Fprintf(os.Stderr, "control-plane: unknown program %q\n", name)
		os.Exit(2)
	}
	os.Args = args
	os.Exit(cli.Run(command()))
}
