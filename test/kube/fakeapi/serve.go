// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
)

const (
	bodyMax   = 1 << 20
	postedMax = 1000
)

type server struct {
	options options
	keys    *keys
	store   *store
	faults  *faults
	wire    *wire
	http    *http.Server
	address string // once it is known

	mu       sync.Mutex
	listener net.Listener // nil: refuses
	tokens   []string
	requests map[string]int
	posted   []json.RawMessage
	nPosted  int
}

type connKey struct{}

func newServer(o options, k *keys) *server {
	s := &server{options: o, keys: k, store: newStore(o.history),
		faults: &faults{met: map[string]int{}}, wire: &wire{conns: map[*conn]bool{}},
		tokens: []string{firstToken}, requests: map[string]int{}}

	var protocols http.Protocols
	var names []string
	if o.http != "1" {
		protocols.SetHTTP2(true)
		names = append(names, "h2")
	}
	if o.http != "2" {
		protocols.SetHTTP1(true)
		names = append(names, "http/1.1")
	}
	s.http = &http.Server{
		Handler: http.HandlerFunc(s.serve), Protocols: &protocols, TLSConfig: k.config(names),
		ErrorLog: log.New(io.Discard, "", 0), // clients that hang up are what this is for
		ConnContext: func(ctx context.Context, c net.Conn) context.Context {
			return context.WithValue(ctx, connKey{}, connOf(c))
		},
	}
	return s
}

// open accepts connections, again if need be.
func (s *server) open(l net.Listener) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.listener != nil {
		return nil
	}
	if l == nil {
		var err error
		if l, err = net.Listen("tcp", s.address); err != nil {
			return err
		}
	}
	s.address = l.Addr().String()
	s.listener = l
	go s.http.ServeTLS(listener{l, s.wire}, "", "")
	return nil
}

func (s *server) close() {
	s.mu.Lock()
	if s.listener != nil {
		s.listener.Close()
		s.listener = nil
	}
	s.mu.Unlock()
	s.wire.cut(true)
}

// statusObject is what a real server answers errors with, and puts into ERROR events.
func statusObject(code int, reason, message string) map[string]any {
	status := map[string]any{"kind": "Status", "apiVersion": "v1", "metadata": map[string]any{},
		"status": "Failure", "message": message}
	if reason != "" {
		status["reason"] = reason
	}
	if code != 0 {
		status["code"] = code
	}
	return status
}

func answer(w http.ResponseWriter, code int, document any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	json.NewEncoder(w).Encode(document)
}

func refuse(w http.ResponseWriter, code int, reason, message string) {
	answer(w, code, statusObject(code, reason, message))
}

func (s *server) letIn(r *http.Request) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	token := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
	return len(s.tokens) == 0 || slices.Contains(s.tokens, token)
}

// verbOf a request, in the words of /fault.
func verbOf(r *http.Request) string {
	query := r.URL.Query()
	watches, _ := strconv.ParseBool(query.Get("watch"))
	initial, _ := strconv.ParseBool(query.Get("sendInitialEvents"))
	switch {
	case r.Method == http.MethodPost:
		return "post"
	case watches && initial:
		return "watchlist"
	case watches:
		return "watch"
	}
	return "list"
}

func (s *server) count(verb, kind string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.requests[verb+" "+kind]++
}

func (s *server) serve(w http.ResponseWriter, r *http.Request) {
	r.Context().Value(connKey{}).(*conn).http.Store(r.Proto)
	i := slices.IndexFunc(resources, func(res *resource) bool { return res.path == r.URL.Path })
	kind, verb, continued := "", verbOf(r), r.URL.Query().Has("continue")
	if i >= 0 {
		kind = resources[i].kind
	}
	s.count(verb, kind)
	if !s.letIn(r) {
		refuse(w, 401, "Unauthorized", "Unauthorized")
		return
	}
	if s.faults.meet("hang", verb, kind, continued) != nil {
		<-r.Context().Done()
		return
	}
	if f := s.faults.meet("status", verb, kind, continued); f != nil {
		if f.RetryAfter > 0 {
			w.Header().Set("Retry-After", strconv.Itoa(f.RetryAfter))
		}
		refuse(w, f.Code, f.Reason, f.Message)
		return
	}
	switch {
	case i >= 0 && r.Method == http.MethodGet && verb == "list":
		s.list(w, r, resources[i])
	case i >= 0 && r.Method == http.MethodGet:
		s.watch(w, r, resources[i], verb)
	case r.Method == http.MethodPost:
		s.post(w, r)
	case r.URL.Path == "/readyz" || r.URL.Path == "/healthz" || r.URL.Path == "/livez":
		io.WriteString(w, "ok")
	case r.URL.Path == "/version":
		answer(w, 200, map[string]string{"major": "1", "minor": "37", "gitVersion": "v1.37.2"})
	default:
		s.get(w, r)
	}
}

// get answers with one object, or 404.
func (s *server) get(w http.ResponseWriter, r *http.Request) {
	dir, name, _ := cutLast(r.URL.Path, "/")
	namespace := ""
	if root, rest, found := strings.Cut(dir, "/namespaces/"); found {
		var plural string
		namespace, plural, _ = strings.Cut(rest, "/")
		dir = root + "/" + plural
	}
	i := slices.IndexFunc(resources, func(res *resource) bool { return res.path == dir })
	if i >= 0 && r.Method == http.MethodGet {
		s.store.mu.Lock()
		found := s.store.of(resources[i]).find(namespace, name)
		s.store.mu.Unlock()
		if found != nil {
			w.Header().Set("Content-Type", "application/json")
			w.Write(found.appendTo(nil, true))
			return
		}
	}
	refuse(w, 404, "NotFound", fmt.Sprintf("%s %s: not found", r.Method, r.URL.Path))
}

func cutLast(text, separator string) (string, string, bool) {
	i := strings.LastIndex(text, separator)
	if i < 0 {
		return text, "", false
	}
	return text[:i], text[i+len(separator):], true
}

// post takes events and answers access reviews: everything is allowed.
func (s *server) post(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, bodyMax))
	var document map[string]any
	if err == nil {
		err = json.Unmarshal(body, &document)
	}
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		refuse(w, 413, "RequestEntityTooLarge", err.Error())
	case err != nil:
		refuse(w, 400, "BadRequest", err.Error())
	case strings.HasSuffix(r.URL.Path, "/events"):
		s.mu.Lock()
		s.nPosted++
		s.posted = append(s.posted, body)
		s.posted = s.posted[max(0, len(s.posted)-postedMax):]
		s.mu.Unlock()
		answer(w, 201, document)
	case strings.HasSuffix(r.URL.Path, "/selfsubjectaccessreviews"):
		document["status"] = map[string]any{"allowed": true}
		answer(w, 201, document)
	default:
		refuse(w, 404, "NotFound", fmt.Sprintf("POST %s: not found", r.URL.Path))
	}
}
