// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"slices"
	"time"
)

const (
	stampsPatience = time.Second // of watches that are frozen
	lagPause       = time.Millisecond
)

// command answers one path of the control socket with a document.
type command func(s *server, body *json.Decoder) (any, error)

// done is the answer of a command that has nothing to tell.
var done = map[string]any{}

var commands = map[string]command{
	"GET /stats":        (*server).stats,
	"GET /posted":       (*server).tellPosted,
	"POST /change":      (*server).change,
	"POST /replay":      (*server).replay,
	"POST /put":         (*server).putObjects,
	"POST /generate":    (*server).generateMore,
	"POST /delete":      (*server).deleteObject,
	"POST /send":        (*server).send,
	"POST /bookmark":    (*server).bookmark,
	"POST /compact":     (*server).compact,
	"POST /token":       (*server).setTokens,
	"POST /certificate": (*server).setCertificate,
	"POST /listen":      (*server).listen,
	"POST /disconnect":  (*server).disconnect,
	"POST /freeze":      (*server).freeze,
	"POST /drip":        (*server).drip,
	"POST /fault":       (*server).addFault,
	"POST /clear":       (*server).clearFaults,
}

func (s *server) serveControl(l net.Listener) error {
	mux := http.NewServeMux()
	for path, run := range commands {
		mux.HandleFunc(path, func(w http.ResponseWriter, r *http.Request) {
			body := json.NewDecoder(r.Body)
			body.DisallowUnknownFields()
			document, err := run(s, body)
			if err != nil {
				answer(w, 400, map[string]string{"error": err.Error()})
				return
			}
			answer(w, 200, document)
		})
	}
	return http.Serve(l, mux)
}

func (s *server) stats(*json.Decoder) (any, error) {
	s.store.mu.Lock()
	version, watches := s.store.version, map[string]int{}
	for r, c := range s.store.collections {
		watches[r.kind] = len(c.watches)
	}
	s.store.mu.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	requests := map[string]int{}
	for name, n := range s.requests {
		requests[name] = n
	}
	return map[string]any{"resourceVersion": version, "connections": s.wire.byProtocol(),
		"watches": watches, "requests": requests, "faults": s.faults.counts(),
		"sentBytes": s.wire.sent.Load(), "posted": s.nPosted}, nil
}

func (s *server) tellPosted(*json.Decoder) (any, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return map[string]any{"events": slices.Clone(s.posted)}, nil
}

// changes runs `make` with the store's lock and tells when its last event was written.
func (s *server) changes(make func() (*event, error)) (any, error) {
	s.store.mu.Lock()
	last, err := make()
	if err != nil {
		s.store.mu.Unlock()
		return nil, err
	}
	times := s.store.stamp(last)
	s.store.mu.Unlock()
	select {
	case <-times.done:
	case <-time.After(stampsPatience):
	}
	times.mu.Lock()
	defer times.mu.Unlock()
	return map[string]any{"resourceVersion": last.version, "changedNs": times.changedNs,
		"watches": slices.Clone(times.spans)}, nil
}

func (s *server) change(body *json.Decoder) (any, error) {
	in := struct {
		First, Count int
		What         string
		Addresses    []string
	}{Count: 1}
	if err := body.Decode(&in); err != nil {
		return nil, err
	}
	if in.Count < 1 {
		return nil, fmt.Errorf("count: %d is not 1 or more", in.Count)
	}
	return s.changes(func() (*event, error) {
		var last *event
		for i := range in.Count {
			var err error
			if last, err = s.store.changeGenerated(in.First+i, in.What, in.Addresses); err != nil {
				return nil, err
			}
		}
		return last, nil
	})
}

// lag is how many events the slowest watch is behind.
func (s *store) lag() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	var lag uint64
	for _, c := range s.collections {
		for w := range c.watches {
			lag = max(lag, c.first+uint64(len(c.log))-w.next)
		}
	}
	return int(lag)
}

func (s *server) replay(body *json.Decoder) (any, error) {
	var in struct{ Events, Rate, Distinct int }
	if err := body.Decode(&in); err != nil {
		return nil, err
	}
	if in.Distinct < 1 {
		return nil, fmt.Errorf("distinct: %d is not 1 or more", in.Distinct)
	}
	begin := time.Now()
	for i := range in.Events {
		what := []string{"endpoints", "service"}[i%2]
		s.store.mu.Lock()
		_, err := s.store.changeGenerated(i/2%in.Distinct, what, nil)
		s.store.mu.Unlock()
		if err != nil {
			return nil, err
		}
		if in.Rate > 0 {
			time.Sleep(time.Until(begin.Add(time.Duration(i) * time.Second / time.Duration(in.Rate))))
		}
		// No watch may lose events: then it would be a test of lists.
		for i%batchMax == 0 && s.store.lag() > s.store.history/2 {
			time.Sleep(lagPause)
		}
	}
	for s.store.lag() > 0 {
		time.Sleep(lagPause)
	}
	s.store.mu.Lock()
	defer s.store.mu.Unlock()
	return map[string]any{"resourceVersion": s.store.version,
		"seconds": time.Since(begin).Seconds()}, nil
}

func (s *server) putObjects(body *json.Decoder) (any, error) {
	var in struct {
		Objects []map[string]any
		Pad     int
	}
	body.UseNumber()
	if err := body.Decode(&in); err != nil {
		return nil, err
	}
	if len(in.Objects) == 0 {
		return nil, fmt.Errorf("objects: is empty")
	}
	var objects []*object
	for _, document := range in.Objects {
		o, err := newObject(document, in.Pad)
		if err != nil {
			return nil, err
		}
		objects = append(objects, o)
	}
	return s.changes(func() (*event, error) {
		var last *event
		for _, o := range objects {
			last = s.store.put(o)
		}
		return last, nil
	})
}

func (s *server) generateMore(body *json.Decoder) (any, error) {
	var in struct{ Services, Endpoints, Pad int }
	if err := body.Decode(&in); err != nil {
		return nil, err
	}
	s.store.generate(in.Services, in.Endpoints, in.Pad)
	return done, nil
}

func resourceOf(kind string) (*resource, error) {
	i := slices.IndexFunc(resources, func(r *resource) bool { return r.kind == kind })
	if i < 0 {
		return nil, fmt.Errorf("kind: %q is not served", kind)
	}
	return resources[i], nil
}

func (s *server) deleteObject(body *json.Decoder) (any, error) {
	var in struct{ Kind, Namespace, Name string }
	if err := body.Decode(&in); err != nil {
		return nil, err
	}
	r, err := resourceOf(in.Kind)
	if err != nil {
		return nil, err
	}
	return s.changes(func() (*event, error) {
		e := s.store.remove(r, in.Namespace, in.Name)
		if e == nil {
			return nil, fmt.Errorf("no %s %s/%s", in.Kind, in.Namespace, in.Name)
		}
		return e, nil
	})
}

func (s *server) send(body *json.Decoder) (any, error) {
	var in struct {
		Kind  string
		Lines []json.RawMessage
	}
	if err := body.Decode(&in); err != nil {
		return nil, err
	}
	r, err := resourceOf(in.Kind)
	if err != nil {
		return nil, err
	}
	s.store.mu.Lock()
	defer s.store.mu.Unlock()
	for _, line := range in.Lines {
		raw := append([]byte{}, line...)
		var text string
		if json.Unmarshal(line, &text) == nil {
			raw = []byte(text)
		}
		s.store.record(s.store.of(r), &event{raw: append(raw, '\n'), version: s.store.version})
	}
	return done, nil
}

func (s *server) bookmark(body *json.Decoder) (any, error) {
	var in struct{ Kind string }
	if err := body.Decode(&in); err != nil {
		return nil, err
	}
	s.store.mu.Lock()
	defer s.store.mu.Unlock()
	for r, c := range s.store.collections {
		if in.Kind != "" && in.Kind != r.kind {
			continue
		}
		t := watch{from: c}
		t.appendBookmark(s.store.version, false)
		s.store.record(c, &event{raw: t.text, version: s.store.version})
	}
	return done, nil
}

func (s *server) compact(*json.Decoder) (any, error) {
	s.store.compact()
	return done, nil
}

func (s *server) setTokens(body *json.Decoder) (any, error) {
	var in struct{ Accept []string }
	if err := body.Decode(&in); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tokens = in.Accept
	return done, nil
}

func (s *server) setCertificate(body *json.Decoder) (any, error) {
	var in struct {
		CA, Leaf string
		Write    bool
	}
	if err := body.Decode(&in); err != nil {
		return nil, err
	}
	return done, s.keys.change(in.CA, in.Leaf, in.Write)
}

func (s *server) listen(body *json.Decoder) (any, error) {
	var in struct{ Open bool }
	if err := body.Decode(&in); err != nil {
		return nil, err
	}
	if in.Open {
		return done, s.open(nil)
	}
	s.close()
	return done, nil
}

func (s *server) disconnect(body *json.Decoder) (any, error) {
	var in struct{ Reset bool }
	if err := body.Decode(&in); err != nil {
		return nil, err
	}
	s.wire.cut(in.Reset)
	return done, nil
}

func (s *server) freeze(body *json.Decoder) (any, error) {
	var in struct{ New bool }
	if err := body.Decode(&in); err != nil {
		return nil, err
	}
	s.wire.freeze(in.New)
	return done, nil
}

func (s *server) drip(body *json.Decoder) (any, error) {
	var in struct{ BytesPerSecond int64 }
	if err := body.Decode(&in); err != nil {
		return nil, err
	}
	s.wire.rate.Store(in.BytesPerSecond)
	return done, nil
}

func (s *server) addFault(body *json.Decoder) (any, error) {
	var in fault
	if err := body.Decode(&in); err != nil {
		return nil, err
	}
	return done, s.faults.add(in)
}

func (s *server) clearFaults(*json.Decoder) (any, error) {
	s.faults.clear()
	s.wire.thaw()
	s.wire.rate.Store(0)
	return done, nil
}
