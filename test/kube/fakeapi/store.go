// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// resource is a kind of objects and where it is served.
type resource struct {
	kind, apiVersion, path string
}

var (
	serviceResource = &resource{"Service", "v1", "/api/v1/services"}
	nodeResource    = &resource{"Node", "v1", "/api/v1/nodes"}
	sliceResource   = &resource{"EndpointSlice", "discovery.k8s.io/v1",
		"/apis/discovery.k8s.io/v1/endpointslices"}
	cidrResource = &resource{"ServiceCIDR", "networking.k8s.io/v1",
		"/apis/networking.k8s.io/v1/servicecidrs"}
	resources = []*resource{serviceResource, nodeResource, sliceResource, cidrResource}
)

// object is immutable: a change makes another one.
type object struct {
	resource                   *resource
	namespace, name, clusterIP string
	labels                     map[string]string
	version                    uint64
	gen                        *generated // nil: it is head, version, tail
	head, tail                 []byte     // without kind and apiVersion
}

// appendTo writes the object: with its kind as in an event, or without as in a list.
func (o *object) appendTo(dst []byte, withKind bool) []byte {
	dst = append(dst, '{')
	if withKind {
		dst = append(dst, `"kind":"`...)
		dst = append(dst, o.resource.kind...)
		dst = append(dst, `","apiVersion":"`...)
		dst = append(dst, o.resource.apiVersion...)
		dst = append(dst, `",`...)
	}
	switch {
	case o.gen != nil && o.resource == serviceResource:
		return o.gen.appendService(dst, o)
	case o.gen != nil:
		return o.gen.appendSlice(dst, o)
	}
	dst = append(dst, o.head...)
	dst = strconv.AppendUint(dst, o.version, 10)
	return append(dst, o.tail...)
}

// versionMark stands where the resourceVersion goes while an object is made.
const versionMark = "@fakeapi-version@"

// newObject reads as little as it needs: what is wrong elsewhere is served as it is.
func newObject(document map[string]any, pad int) (*object, error) {
	kind, _ := document["kind"].(string)
	i := slices.IndexFunc(resources, func(r *resource) bool { return r.kind == kind })
	if i < 0 {
		return nil, fmt.Errorf("kind: %q is not served", kind)
	}
	meta, _ := document["metadata"].(map[string]any)
	o := &object{resource: resources[i], labels: map[string]string{}}
	o.name, _ = meta["name"].(string)
	o.namespace, _ = meta["namespace"].(string)
	if o.name == "" {
		return nil, fmt.Errorf("%s: metadata.name: is missing", kind)
	}
	labels, _ := meta["labels"].(map[string]any)
	for key, value := range labels {
		o.labels[key], _ = value.(string)
	}
	spec, _ := document["spec"].(map[string]any)
	o.clusterIP, _ = spec["clusterIP"].(string)
	if pad > 0 {
		annotations, _ := meta["annotations"].(map[string]any)
		if annotations == nil {
			annotations = map[string]any{}
			meta["annotations"] = annotations
		}
		annotations["fakeapi/pad"] = strings.Repeat("x", pad)
	}
	meta["resourceVersion"] = versionMark
	delete(document, "kind")
	delete(document, "apiVersion")
	metadata, err := nameFirst(meta)
	if err != nil {
		return nil, err
	}
	document["metadata"] = metadata
	text, err := json.Marshal(document)
	if err != nil {
		return nil, err
	}
	head, tail, _ := bytes.Cut(text, []byte(versionMark))
	o.head, o.tail = head[1:], tail
	return o, nil
}

// event is one line of watches. Without an object it is `raw`, for everyone.
type event struct {
	kind           string // ADDED, MODIFIED or DELETED
	object, before *object
	raw            []byte
	version        uint64
	stamps         *stamps // nil: nobody asked
}

// collection is all objects of a kind, and what happened to them of late.
type collection struct {
	resource *resource
	objects  []*object      // in no order
	places   map[string]int // in objects, by key
	shared   bool           // a snapshot has the same array
	log      []*event
	first    uint64        // number of log[0]; numbers go up by one
	known    uint64        // watches from older versions than this one get 410
	wake     chan struct{} // closed when the log grows
	watches  map[*watch]bool
}

func key(namespace, name string) string { return namespace + "/" + name }

func (c *collection) find(namespace, name string) *object {
	i, there := c.places[key(namespace, name)]
	if !there {
		return nil
	}
	return c.objects[i]
}

// own makes the array one that no snapshot has.
func (c *collection) own() {
	if c.shared {
		c.objects = slices.Clone(c.objects)
		c.shared = false
	}
}

type store struct {
	mu                sync.Mutex
	version           uint64
	history           int
	collections       map[*resource]*collection
	snapshots         map[uint64]*snapshot // of lists that are read by pages, by number
	snapshotNumber    uint64
	generatedServices int
	generating        bool
}

// snapshot is a list as it was at a version.
type snapshot struct {
	resource *resource
	objects  []*object
	version  uint64
}

const snapshotsMax = 64

func newStore(history int) *store {
	s := &store{version: 1000, history: history, collections: map[*resource]*collection{},
		snapshots: map[uint64]*snapshot{}}

	for _, r := range resources {
		s.collections[r] = &collection{resource: r, places: map[string]int{}, known: s.version,
			wake: make(chan struct{}), watches: map[*watch]bool{}}
	}
	return s
}

func (s *store) of(r *resource) *collection { return s.collections[r] }

// record adds an event and wakes the watches. With the lock held.
func (s *store) record(c *collection, e *event) *event {
	// What was generated before anybody looked is no history.
	if !s.generating || len(c.watches) > 0 || len(c.log) > 0 {
		c.log = append(c.log, e)
		if extra := len(c.log) - s.history; extra > s.history/4 {
			c.known = max(c.known, c.log[extra-1].version)
			c.log = slices.Clone(c.log[extra:])
			c.first += uint64(extra)
		}
	} else {
		c.known = e.version
		c.first++
	}
	close(c.wake)
	c.wake = make(chan struct{})
	return e
}

// put stores an object as of the next version. With the lock held.
func (s *store) put(o *object) *event {
	c := s.of(o.resource)
	s.version++
	o.version = s.version
	c.own()
	e := &event{kind: "ADDED", object: o, version: s.version}
	if i, there := c.places[key(o.namespace, o.name)]; there {
		e.kind, e.before = "MODIFIED", c.objects[i]
		c.objects[i] = o
	} else {
		c.places[key(o.namespace, o.name)] = len(c.objects)
		c.objects = append(c.objects, o)
	}
	return s.record(c, e)
}

// remove deletes an object; nil if there is none. With the lock held.
func (s *store) remove(r *resource, namespace, name string) *event {
	c := s.of(r)
	i, there := c.places[key(namespace, name)]
	if !there {
		return nil
	}
	c.own()
	before, last := c.objects[i], c.objects[len(c.objects)-1]
	c.objects[i] = last
	c.places[key(last.namespace, last.name)] = i
	c.objects = c.objects[:len(c.objects)-1]
	delete(c.places, key(namespace, name))
	s.version++
	after := *before
	after.version = s.version
	return s.record(c, &event{kind: "DELETED", object: &after, before: before, version: s.version})
}

// compact forgets all history.
func (s *store) compact() {
	s.mu.Lock()
	defer s.mu.Unlock()
	// What is older than any change of now.
	s.version++
	for _, c := range s.collections {
		c.first += uint64(len(c.log))
		c.log = nil
		c.known = s.version
	}
	s.snapshots = map[uint64]*snapshot{}
}

// snapshot of what is there now; number 0 is not kept. With the lock held.
func (s *store) snapshot(r *resource, keep bool) (*snapshot, uint64) {
	c := s.of(r)
	c.shared = true
	found := &snapshot{resource: r, objects: c.objects, version: s.version}
	if !keep {
		return found, 0
	}
	s.snapshotNumber++
	s.snapshots[s.snapshotNumber] = found
	delete(s.snapshots, s.snapshotNumber-snapshotsMax)
	return found, s.snapshotNumber
}

func (s *store) makeNode(name string, addresses []string) {
	var internal []any
	for _, address := range addresses {
		internal = append(internal, map[string]any{"type": "InternalIP", "address": address})
	}
	node, err := newObject(map[string]any{"kind": "Node",
		"metadata": map[string]any{"name": name, "labels": map[string]any{
			"kubernetes.io/hostname": name, "topology.kubernetes.io/zone": "zone-a"}},
		"status": map[string]any{"addresses": internal}}, 0)
	if err != nil {
		panic(err)
	}
	cidr, err := newObject(map[string]any{"kind": "ServiceCIDR",
		"metadata": map[string]any{"name": "kubernetes"},
		"spec":     map[string]any{"cidrs": []any{"10.96.0.0/12"}}}, 0)
	if err != nil {
		panic(err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.put(node)
	s.put(cidr)
}

// nameFirst writes metadata as an API server does: its name before all that may be long.
func nameFirst(meta map[string]any) (json.RawMessage, error) {
	first, err := json.Marshal(map[string]any{"name": meta["name"]})
	if err != nil {
		return nil, err
	}
	rest, err := json.Marshal(meta)
	if err != nil {
		return nil, err
	}
	return append(append(first[:len(first)-1], ','), rest[1:]...), nil
}
