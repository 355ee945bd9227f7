// SPDX-License-Identifier: Apache-2.0

// Command fakeapi is a TLS server that speaks as much of the Kubernetes API as
// a node proxy reads: paged lists, watches, WatchList, bookmarks, gzip, HTTP/1.1
// and HTTP/2, tokens, events and access reviews, for Services, EndpointSlices,
// ServiceCIDRs and Nodes. It serves what a real API server can't give: clusters
// of any size at wire speed, and faults on command.
//
//	fakeapi --folder DIR [--listen ADDR:PORT] [--services N --endpoints E] [FLAG ...]
//
// DIR is made and gets ca.crt, token, kubeconfig (which names both by file) and
// the socket `control`. When it serves, it prints one line of JSON: {"address",
// "kubeconfig", "control"}. It needs nothing but Go's standard library.
//
// # Generated clusters
//
// `--services 50000 --endpoints 5` serves 50,000 Services with 5 endpoints each,
// the same ones in each run: Service svc-I in namespace ns-(I mod 100), with the
// I-th cluster IP of 10.96.0.16 and on, port 80; slices of 100 endpoints at most,
// with pods' addresses of 10.128.0.0/9 and nodes node-0 ... node-99. Objects carry
// managedFields, as real ones do. They are written as they are sent, none is kept
// in memory as text. `--gzip 0` serves lists as they are; else those over so many
// bytes are compressed, as a real server does with those over 128 KiB.
//
// # Control
//
// HTTP with JSON on the socket, e.g.
//
//	curl --unix-socket DIR/control -d '{"first": 7, "count": 1}' http://fakeapi/change
//
// Each answer is a document; 400 comes with {"error"}. Times are nanoseconds of
// CLOCK_MONOTONIC (Python's time.monotonic_ns).
//
//	GET /stats     {"resourceVersion", "connections" (open ones, by protocol), "watches" (open
//	               ones, by kind), "requests" (all so far, "VERB KIND"), "faults" (met so far,
//	               by name), "sentBytes" (on the wire, with TLS), "posted" (events received)}
//	GET /posted    {"events": [...]}: the last 1000 events that were POSTed
//	POST /change   {"first", "count", "what": "endpoints"|"service", "addresses", "after"}: changes
//	               the generated objects first, first+1, ...: each Service's first slice gets
//	               another first endpoint, and its own again the next time, or just the
//	               `addresses` if there are any; "service" flips its port between 80 and 81.
//	               Returns {"resourceVersion", "changedNs", "watches": [{"beginNs", "endNs"}]}:
//	               when the store had the last change, and around its write to each open watch.
//	POST /replay   {"events", "rate" (a second; 0: as fast as they are taken), "distinct"}: as many
//	               changes of the first `distinct` Services' slices and Services, in turn. Returns
//	               when all watches were sent them: {"resourceVersion", "seconds"}.
//	POST /put      {"objects": [...], "pad"}: stores objects of any of the kinds; resourceVersion
//	               is set here, all else stays as it is, however wrong. `pad` adds an annotation of
//	               so many bytes to each. Returns as /change.
//	POST /generate {"services", "endpoints", "pad"}: more generated objects, after those there are.
//	POST /delete   {"kind", "namespace", "name"}; returns as /change.
//	POST /send     {"kind", "lines": [...]}: sends lines to the open watches of a kind and changes
//	               nothing else. A string is sent as it is, anything else as JSON.
//	POST /bookmark {"kind"}: sends a bookmark to the watches that want them; "" for all kinds.
//	POST /compact  forgets all history: continue tokens and watches of old versions get 410.
//	POST /token    {"accept": [...]}: the tokens that are let in from now on, others get 401;
//	               empty: any. Open requests go on.
//	POST /certificate {"ca": "keep"|"new"|"expired", "leaf": "valid"|"expired", "write"}: what new
//	               connections are shown; `write` puts the CA into ca.crt.
//	POST /listen   {"open"}: false refuses connections and resets those there are.
//	POST /disconnect {"reset"}: ends all connections, by FIN or RST.
//	POST /freeze   {"new"}: connections are neither read nor written any more, nor closed; with
//	               `new`, so are those to come.
//	POST /drip     {"bytesPerSecond"}: writes slowly; 0: as fast as can be.
//	POST /fault    {"fault", "verb" (list, watch, watchlist, which is a watch too, initial, which is
//	               what comes first on it, or post; "": any), "kind" ("": any), "times" (0: until
//	               /clear), "code", "reason", "message", "retryAfter", "how",
//	               "continued" (only lists that go on with a further page)}. Faults:
//	                 status       the request is answered with `code` and a Status object
//	                 hang         the request is never answered
//	                 error-event  a watch begins with an ERROR event of `code` and `reason`, and ends
//	                 cut          a watch ends in the middle of its next event, a list in the middle
//	                              of its body; `how`: close, reset, or stream (that request alone)
//	                 duplicate    a watch's event is sent twice
//	                 reorder      two events of a watch are sent the later one first
//	POST /clear    ends all faults; connections that are frozen are reset.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
)

type options struct {
	folder, listen, http, node, nodeAddresses string
	services, endpoints, pad                  int
	gzip, history, bookmarkS                  int
}

func parseFlags() options {
	var o options

	flag.StringVar(&o.folder, "folder", "", "where the kubeconfig and the control socket go (needed)")
	flag.StringVar(&o.listen, "listen", "127.0.0.1:0", "`ADDR:PORT` to serve on")
	flag.StringVar(&o.http, "http", "both", "protocols: 1, 2 or both")
	flag.StringVar(&o.node, "node", "node1", "name of the one Node there is")
	flag.StringVar(&o.nodeAddresses, "node-addresses", "172.30.0.1", "its addresses, with commas between")
	flag.IntVar(&o.services, "services", 0, "Services to generate")
	flag.IntVar(&o.endpoints, "endpoints", 0, "endpoints of each of them")
	flag.IntVar(&o.pad, "pad", 0, "bytes of an annotation of each of them")
	flag.IntVar(&o.gzip, "gzip", 128*1024, "compress lists of so many bytes; 0: none")
	flag.IntVar(&o.history, "history", 10000, "events of each kind to remember")
	flag.IntVar(&o.bookmarkS, "bookmark", 60, "seconds between bookmarks; 0: none")
	flag.Parse()
	return o
}

func run(o options) error {
	if o.folder == "" {
		return fmt.Errorf("--folder: is needed")
	}
	if err := os.MkdirAll(o.folder, 0o700); err != nil {
		return err
	}
	listener, err := net.Listen("tcp", o.listen)
	if err != nil {
		return err
	}
	address := listener.Addr().(*net.TCPAddr)
	keys, err := newKeys(o.folder, address.IP)
	if err != nil {
		return err
	}
	if err := writeKubeconfig(o.folder, address.String()); err != nil {
		return err
	}

	s := newServer(o, keys)
	s.store.makeNode(o.node, strings.Split(o.nodeAddresses, ","))
	s.store.generate(o.services, o.endpoints, o.pad)
	path := filepath.Join(o.folder, "control")
	os.Remove(path)
	control, err := net.Listen("unix", path)
	if err != nil {
		return err
	}
	if err := s.open(listener); err != nil {
		return err
	}
	line, _ := json.Marshal(map[string]string{"address": address.String(),
		"kubeconfig": filepath.Join(o.folder, "kubeconfig"), "control": path})
	fmt.Println(string(line))
	return s.serveControl(control)
}

func main() {
	if err := run(parseFlags()); err != nil {
		fmt.Fprintf(os.Stderr, "fakeapi: %v\n", err)
		os.Exit(1)
	}
}
