// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"sync"
	"syscall"
	"time"
	"unsafe"
)

const (
	batchMax       = 256 // events between two flushes
	watchDefaultS  = 3600
	clockMonotonic = 1
)

// monotonicNs is CLOCK_MONOTONIC, which other processes read as well.
func monotonicNs() int64 {
	var now syscall.Timespec

	syscall.Syscall(syscall.SYS_CLOCK_GETTIME, clockMonotonic, uintptr(unsafe.Pointer(&now)), 0)
	return now.Nano()
}

// span is when a write of an event to a watch began and ended.
type span struct {
	BeginNs int64 `json:"beginNs"`
	EndNs   int64 `json:"endNs"`
}

// stamps are the times of one event; `done` is closed when all watches were sent it or ended.
type stamps struct {
	mu        sync.Mutex
	changedNs int64
	missing   map[*watch]bool
	spans     []span
	done      chan struct{}
}

// settle notes that a watch was sent the event, or ended without it (nil).
func (t *stamps) settle(w *watch, s *span) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.missing[w] {
		return
	}
	delete(t.missing, w)
	if s != nil {
		t.spans = append(t.spans, *s)
	}
	if len(t.missing) == 0 {
		close(t.done)
	}
}

// stamp has the times of an event taken. With the store's lock held, right after its record.
func (s *store) stamp(e *event) *stamps {
	e.stamps = &stamps{changedNs: monotonicNs(), spans: []span{}, missing: map[*watch]bool{},
		done: make(chan struct{})}
	for w := range s.of(e.object.resource).watches {
		e.stamps.missing[w] = true
		w.awaited = append(w.awaited, e.stamps)
	}
	if len(e.stamps.missing) == 0 {
		close(e.stamps.done)
	}
	return e.stamps
}

// watch is one open watch request.
type watch struct {
	server  *server
	w       http.ResponseWriter
	r       *http.Request
	verb    string
	from    *collection
	wanted  selector
	marks   bool   // wants bookmarks
	next    uint64 // number of the next event; with the store's lock
	version uint64 // of what was sent last
	text    []byte // to be written
	held    []byte // by reorder, to be sent after the next one
	stamped []*stamps
	awaited []*stamps // not sent yet, nor given up; with the store's lock
}

// line is what this watch gets of an event, nil for nothing.
func (t *watch) line(e *event) []byte {
	if e.object == nil {
		return e.raw
	}
	kind := e.kind
	if t.wanted != nil {
		was := e.before != nil && t.wanted.matches(e.before)
		is := kind != "DELETED" && t.wanted.matches(e.object)
		switch {
		case !was && !is:
			return nil
		case is && !was:
			kind = "ADDED"
		case was && !is:
			kind = "DELETED"
		default:
			kind = "MODIFIED"
		}
	}
	return appendEvent(nil, kind, e.object)
}

func appendEvent(dst []byte, kind string, o *object) []byte {
	dst = append(dst, `{"type":"`...)
	dst = append(dst, kind...)
	dst = append(dst, `","object":`...)
	dst = o.appendTo(dst, true)
	return append(dst, "}\n"...)
}

func (t *watch) appendBookmark(version uint64, initialEnd bool) {
	annotations := ""
	if initialEnd {
		annotations = `,"annotations":{"k8s.io/initial-events-end":"true"}`
	}
	t.text = fmt.Appendf(t.text, `{"type":"BOOKMARK","object":{"kind":"%s","apiVersion":"%s",`+
		`"metadata":{"resourceVersion":"%d","creationTimestamp":null%s}}}`+"\n",
		t.from.resource.kind, t.from.resource.apiVersion, version, annotations)
}

func (t *watch) appendError(code int, reason, message string) {
	object, _ := json.Marshal(statusObject(code, reason, message))
	t.text = append(t.text, `{"type":"ERROR","object":`...)
	t.text = append(t.text, object...)
	t.text = append(t.text, "}\n"...)
}

// flush sends what there is; false if the client is gone.
func (t *watch) flush() bool {
	begin := monotonicNs()
	_, err := t.w.Write(t.text)
	if err == nil {
		err = http.NewResponseController(t.w).Flush()
	}
	t.text = t.text[:0]
	if cap(t.text) > 16*chunk {
		t.text = nil
	}
	for _, stamps := range t.stamped {
		stamps.settle(t, &span{begin, monotonicNs()})
	}
	t.stamped = t.stamped[:0]
	return err == nil
}

// take adds an event to what is sent, with the faults it meets.
func (t *watch) take(e *event) {
	line := t.line(e)
	if e.stamps != nil {
		t.stamped = append(t.stamped, e.stamps)
	}
	if line == nil {
		return
	}
	faults, kind := t.server.faults, t.from.resource.kind
	if f := faults.meet("cut", t.verb, kind, false); f != nil {
		t.w.Write(append(t.text, line[:len(line)/2]...))
		t.server.cut(t.w, t.r, f.How)
	}
	if t.held == nil && faults.meet("reorder", t.verb, kind, false) != nil {
		t.held = line
		return
	}
	t.text = append(t.text, line...)
	if faults.meet("duplicate", t.verb, kind, false) != nil {
		t.text = append(t.text, line...)
	}
	t.text = append(t.text, t.held...)
	t.held = nil
}

// sendInitial sends all objects; `end` puts WatchList's bookmark after them.
func (t *watch) sendInitial(found *snapshot, end bool) bool {
	cut := t.server.faults.meet("cut", "initial", t.from.resource.kind, false)
	for i, o := range found.objects {
		if cut != nil && i >= len(found.objects)/2 {
			line := appendEvent(nil, "ADDED", o)
			t.w.Write(append(t.text, line[:len(line)/2]...))
			t.server.cut(t.w, t.r, cut.How)
		}
		if !t.wanted.matches(o) {
			continue
		}
		t.text = appendEvent(t.text, "ADDED", o)
		if len(t.text) > chunk {
			if _, err := t.w.Write(t.text); err != nil {
				return false
			}
			t.text = t.text[:0]
		}
	}
	if end {
		t.appendBookmark(found.version, true)
	}
	return t.flush()
}

// begin finds where the watch starts. Returns the initial objects, if they are wanted, and false
// if the version is too old.
func (t *watch) begin(version string) (*snapshot, bool) {
	s := t.server.store
	s.mu.Lock()
	defer s.mu.Unlock()
	t.from.watches[t] = true
	t.next = t.from.first + uint64(len(t.from.log))
	t.version = s.version
	if t.verb == "watchlist" || version == "" || version == "0" {
		found, _ := s.snapshot(t.from.resource, false)
		return found, true
	}
	from, err := strconv.ParseUint(version, 10, 64)
	if err != nil || from < t.from.known {
		return nil, false
	}
	for t.next > t.from.first && t.from.log[t.next-1-t.from.first].version > from {
		t.next--
	}
	return nil, true
}

// events that are new to this watch, what tells of more, and whether some are lost to it.
func (t *watch) events() ([]*event, chan struct{}, bool) {
	s := t.server.store
	s.mu.Lock()
	defer s.mu.Unlock()
	if t.next < t.from.first {
		return nil, nil, true
	}
	if t.next == t.from.first+uint64(len(t.from.log)) {
		t.awaited = nil // all were sent
	}
	news := t.from.log[t.next-t.from.first:]
	news = news[:min(len(news), batchMax)]
	t.next += uint64(len(news))
	if len(news) == 0 {
		// Nothing up to here is unsent: a bookmark may say so.
		t.version = s.version
	}
	return news, t.from.wake, false
}

func (t *watch) end() {
	s := t.server.store
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(t.from.watches, t)
	for _, stamps := range t.awaited {
		stamps.settle(t, nil)
	}
}

// follow sends events until the watch's time is over or the client is gone.
func (t *watch) follow(timeoutS int) {
	over := time.After(time.Duration(timeoutS) * time.Second)
	var bookmark <-chan time.Time
	if t.marks && t.server.options.bookmarkS > 0 {
		ticker := time.NewTicker(time.Duration(t.server.options.bookmarkS) * time.Second)
		defer ticker.Stop()
		bookmark = ticker.C
	}
	for {
		news, wake, lost := t.events()
		if lost {
			return // a real server ends the watches of clients that are too slow
		}
		for _, e := range news {
			t.take(e)
		}
		if len(news) > 0 {
			if !t.flush() {
				return
			}
			continue
		}
		select {
		case <-wake:
		case <-bookmark:
			t.appendBookmark(t.version, false)
			if !t.flush() {
				return
			}
		case <-over:
			return
		case <-t.r.Context().Done():
			return
		}
	}
}

func (s *server) watch(w http.ResponseWriter, r *http.Request, res *resource, verb string) {
	query := r.URL.Query()
	wanted, err := parseSelector(query)
	if err != nil {
		refuse(w, 400, "BadRequest", err.Error())
		return
	}
	t := &watch{server: s, w: w, r: r, verb: verb, from: s.store.of(res), wanted: wanted}
	t.marks, _ = strconv.ParseBool(query.Get("allowWatchBookmarks"))
	initial, known := t.begin(query.Get("resourceVersion"))
	defer t.end()
	w.Header().Set("Content-Type", "application/json")
	f := s.faults.meet("error-event", verb, res.kind, false)
	switch {
	case f != nil:
		t.appendError(f.Code, f.Reason, f.Message)
		t.flush()
		return
	case !known:
		t.appendError(410, "Expired", fmt.Sprintf("too old resource version: %s (%d)",
			query.Get("resourceVersion"), t.from.known))
		t.flush()
		return
	case initial != nil:
		if !t.sendInitial(initial, verb == "watchlist") {
			return
		}
	default:
		t.flush()
	}
	timeoutS, err := strconv.Atoi(query.Get("timeoutSeconds"))
	if err != nil || timeoutS <= 0 {
		timeoutS = watchDefaultS
	}
	t.follow(timeoutS)
}
