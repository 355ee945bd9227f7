// SPDX-License-Identifier: Apache-2.0

package main

import (
	"compress/gzip"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
)

const chunk = 64 * 1024 // what is written at a time

// selector of objects: what the proxies' own selectors need, and no more.
type selector []func(*object) bool

func (s selector) matches(o *object) bool {
	for _, wants := range s {
		if !wants(o) {
			return false
		}
	}
	return true
}

func parseSelector(query url.Values) (selector, error) {
	var found selector

	for _, term := range splitTerms(query.Get("labelSelector")) {
		absent, name := strings.CutPrefix(term, "!")
		if !name {
			return nil, fmt.Errorf("labelSelector: %q: only !KEY is served", term)
		}
		found = append(found, func(o *object) bool {
			_, there := o.labels[absent]
			return !there
		})
	}
	for _, term := range splitTerms(query.Get("fieldSelector")) {
		field, value, isNot := strings.Cut(term, "!=")
		if !isNot {
			field, value, _ = strings.Cut(term, "=")
			value = strings.TrimPrefix(value, "=")
		}
		get, there := map[string]func(*object) string{
			"metadata.name":      func(o *object) string { return o.name },
			"metadata.namespace": func(o *object) string { return o.namespace },
			"spec.clusterIP":     func(o *object) string { return o.clusterIP },
		}[field]
		if !there {
			return nil, fmt.Errorf("fieldSelector: %q is not a field that is served", field)
		}
		found = append(found, func(o *object) bool { return (get(o) == value) != isNot })
	}
	return found, nil
}

func splitTerms(text string) []string {
	if text == "" {
		return nil
	}
	return strings.Split(text, ",")
}

// page is which part of a snapshot a list request gets.
type page struct {
	snapshot  *snapshot
	objects   []*object
	next      string // continue token; "": the last one
	remaining int
}

func makeToken(number uint64, offset int) string {
	return base64.RawURLEncoding.EncodeToString(fmt.Appendf(nil, "%d %d", number, offset))
}

// findPage returns nil if the request's continue token is no longer known.
func (s *server) findPage(res *resource, query url.Values, wanted selector) *page {
	limit, _ := strconv.Atoi(query.Get("limit"))
	var found page
	var number uint64
	offset := 0

	s.store.mu.Lock()
	if token := query.Get("continue"); token != "" {
		text, _ := base64.RawURLEncoding.DecodeString(token)
		fmt.Sscanf(string(text), "%d %d", &number, &offset)
		found.snapshot = s.store.snapshots[number]
	} else {
		found.snapshot, number = s.store.snapshot(res, limit > 0)
	}
	s.store.mu.Unlock()
	if found.snapshot == nil || found.snapshot.resource != res {
		return nil
	}
	for i, o := range found.snapshot.objects[offset:] {
		if !wanted.matches(o) {
			continue
		}
		if limit > 0 && len(found.objects) == limit {
			found.remaining = len(found.snapshot.objects) - offset - i
			found.next = makeToken(number, offset+i)
			break
		}
		found.objects = append(found.objects, o)
	}
	return &found
}

// bodyWriter compresses what turns out to be long, if the client takes that.
type bodyWriter struct {
	w         http.ResponseWriter
	threshold int // 0: never
	held      []byte
	gzip      *gzip.Writer
	plain     bool
}

func (b *bodyWriter) Write(data []byte) (int, error) {
	switch {
	case b.gzip != nil:
		return b.gzip.Write(data)
	case b.plain || b.threshold == 0:
		return b.w.Write(data)
	}
	b.held = append(b.held, data...)
	if len(b.held) > b.threshold {
		b.w.Header().Set("Content-Encoding", "gzip")
		b.gzip, _ = gzip.NewWriterLevel(b.w, gzip.BestSpeed) // as real servers do
		held := b.held
		b.held = nil
		if _, err := b.gzip.Write(held); err != nil {
			return 0, err
		}
	}
	return len(data), nil
}

// end writes what is left; flushes compressed bytes even of a body that is not whole.
func (b *bodyWriter) end(whole bool) {
	switch {
	case b.gzip != nil && whole:
		b.gzip.Close()
	case b.gzip != nil:
		b.gzip.Flush()
	case len(b.held) > 0:
		b.plain = true
		b.w.Write(b.held)
	}
}

func (s *server) list(w http.ResponseWriter, r *http.Request, res *resource) {
	query := r.URL.Query()
	wanted, err := parseSelector(query)
	if err != nil {
		refuse(w, 400, "BadRequest", err.Error())
		return
	}
	found := s.findPage(res, query, wanted)
	if found == nil {
		refuse(w, 410, "Expired", "The provided continue parameter is too old to display a "+
			"consistent list result.")
		return
	}
	body := &bodyWriter{w: w}
	if strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
		body.threshold = s.options.gzip
	}
	w.Header().Set("Content-Type", "application/json")
	cut := s.faults.meet("cut", "list", res.kind, query.Has("continue"))
	if cut != nil {
		found.objects = found.objects[:(len(found.objects)+1)/2]
	}
	text := fmt.Appendf(nil, `{"kind":"%sList","apiVersion":"%s","metadata":{"resourceVersion":"%d"`,
		res.kind, res.apiVersion, found.snapshot.version)
	if found.next != "" {
		text = fmt.Appendf(text, `,"continue":"%s","remainingItemCount":%d`, found.next,
			found.remaining)
	}
	text = append(text, `},"items":[`...)
	text, err = appendItems(text, body, found.objects)
	if err != nil {
		return
	}
	if cut != nil {
		// Within the last object's text.
		body.Write(text[:len(text)-min(len(text), 20)])
		body.end(false)
		s.cut(w, r, cut.How)
	}
	body.Write(append(text, "]}\n"...))
	body.end(true)
}

// appendItems writes all but the last part, which it returns.
func appendItems(text []byte, body io.Writer, objects []*object) ([]byte, error) {
	for i, o := range objects {
		if i > 0 {
			text = append(text, ',')
		}
		if len(text) > chunk {
			if _, err := body.Write(text); err != nil {
				return nil, err
			}
			text = text[:0]
		}
		text = o.appendTo(text, false)
	}
	return text, nil
}

// cut ends a request whose answer is not whole, after sending what there is of it.
func (s *server) cut(w http.ResponseWriter, r *http.Request, how string) {
	http.NewResponseController(w).Flush()
	if how != "stream" {
		r.Context().Value(connKey{}).(*conn).cut(how == "reset")
	}
	panic(http.ErrAbortHandler)
}
