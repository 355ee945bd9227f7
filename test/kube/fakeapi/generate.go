// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net/netip"
	"strconv"
)

const (
	generatedNamespaces = 100
	generatedNodes      = 100
	sliceEndpoints      = 100 // as the real controller has at most
)

var (
	firstClusterIP = netip.MustParseAddr("10.96.0.16")
	firstPodIP     = netip.MustParseAddr("10.128.0.0")
	firstOtherIP   = netip.MustParseAddr("100.64.0.0") // of changed endpoints
)

// generated is what a generated object is made of whenever it is sent.
type generated struct {
	service   int // its number
	slice     int // number of the slice among the Service's
	endpoints int // of the Service, in all slices
	variant   int // odd: changed
	pad       int
	addresses []string // of the endpoints instead of generated ones
}

func plus(base netip.Addr, n int) netip.Addr {
	b := base.As4()
	binary.BigEndian.PutUint32(b[:], binary.BigEndian.Uint32(b[:])+uint32(n))
	return netip.AddrFrom4(b)
}

// uid is stable: a UUID in form, the kind and number in content.
func appendUID(dst []byte, kind string, n int) []byte {
	return fmt.Appendf(dst, "%02x000000-0000-4000-8000-%012x", kind[0], n)
}

// appendMeta writes the metadata up to where labels follow; the caller closes it.
func (g *generated) appendMeta(dst []byte, o *object) []byte {
	dst = append(dst, `"metadata":{"name":"`...)
	dst = append(dst, o.name...)
	dst = append(dst, `","namespace":"`...)
	dst = append(dst, o.namespace...)
	dst = append(dst, `","uid":"`...)
	dst = appendUID(dst, o.resource.kind, g.service*1000+g.slice)
	dst = append(dst, `","resourceVersion":"`...)
	dst = strconv.AppendUint(dst, o.version, 10)
	dst = append(dst, `","creationTimestamp":"2026-01-01T00:00:00Z"`...)
	if g.pad > 0 {
		dst = append(dst, `,"annotations":{"fakeapi/pad":"`...)
		dst = append(dst, bytes.Repeat([]byte{'x'}, g.pad)...)
		dst = append(dst, `"}`...)
	}
	return dst
}

const serviceFields = `,"managedFields":[{"manager":"kubectl-create","operation":"Update","apiVersion":"v1",` +
	`"time":"2026-01-01T00:00:00Z","fieldsType":"FieldsV1","fieldsV1":{"f:spec":{"f:internalTrafficPolicy":{},` +
	`"f:ports":{".":{},"k:{\"port\":80,\"protocol\":\"TCP\"}":{".":{},"f:name":{},"f:port":{},"f:protocol":{},` +
	`"f:targetPort":{}}},"f:selector":{},"f:sessionAffinity":{},"f:type":{}}}}]}`

func (g *generated) appendService(dst []byte, o *object) []byte {
	ip := plus(firstClusterIP, g.service).String()

	dst = g.appendMeta(dst, o)
	dst = append(dst, serviceFields...)
	dst = append(dst, `,"spec":{"ports":[{"name":"http","protocol":"TCP","port":`...)
	dst = strconv.AppendInt(dst, int64(80+g.variant%2), 10)
	dst = append(dst, `,"targetPort":8080}],"selector":{"app":"`...)
	dst = append(dst, o.name...)
	dst = append(dst, `"},"clusterIP":"`...)
	dst = append(dst, ip...)
	dst = append(dst, `","clusterIPs":["`...)
	dst = append(dst, ip...)
	return append(dst, `"],"type":"ClusterIP","sessionAffinity":"None","ipFamilies":["IPv4"],`+
		`"ipFamilyPolicy":"SingleStack","internalTrafficPolicy":"Cluster"},"status":{"loadBalancer":{}}}`...)
}

const sliceFields = `,"managedFields":[{"manager":"kube-controller-manager","operation":"Update",` +
	`"apiVersion":"discovery.k8s.io/v1","time":"2026-01-01T00:00:00Z","fieldsType":"FieldsV1","fieldsV1":` +
	`{"f:addressType":{},"f:endpoints":{},"f:metadata":{"f:annotations":{".":{},` +
	`"f:endpoints.kubernetes.io/last-change-trigger-time":{}},"f:generateName":{},"f:labels":{".":{},` +
	`"f:endpointslice.kubernetes.io/managed-by":{},"f:kubernetes.io/service-name":{}},"f:ownerReferences":` +
	`{".":{},"k:{\"uid\":\"53000000-0000-4000-8000-000000000000\"}":{}}},"f:ports":{}}}]}`

func (g *generated) appendSlice(dst []byte, o *object) []byte {
	dst = g.appendMeta(dst, o)
	dst = append(dst, `,"labels":{"endpointslice.kubernetes.io/managed-by":`+
		`"endpointslice-controller.k8s.io","kubernetes.io/service-name":"`...)
	dst = appendServiceName(dst, g.service)
	dst = append(dst, `"},"ownerReferences":[{"apiVersion":"v1","kind":"Service","name":"`...)
	dst = appendServiceName(dst, g.service)
	dst = append(dst, `","uid":"`...)
	dst = appendUID(dst, "Service", g.service*1000)
	dst = append(dst, `","controller":true,"blockOwnerDeletion":true}]`...)
	dst = append(dst, sliceFields...)
	dst = append(dst, `,"addressType":"IPv4","endpoints":[`...)
	if g.addresses != nil {
		for i, address := range g.addresses {
			dst = appendEndpoint(dst, i, i, o.namespace, address)
		}
	} else {
		first := g.slice * sliceEndpoints
		for i := first; i < g.endpoints && i < first+sliceEndpoints; i++ {
			number := g.service*g.endpoints + i
			base := firstPodIP
			if i == 0 && g.variant%2 == 1 {
				base = firstOtherIP
			}
			dst = appendEndpoint(dst, i-first, number, o.namespace, plus(base, number).String())
		}
	}
	return append(dst, `],"ports":[{"name":"http","port":8080,"protocol":"TCP"}]}`...)
}

func appendEndpoint(dst []byte, place, number int, namespace, address string) []byte {
	if place > 0 {
		dst = append(dst, ',')
	}
	dst = append(dst, `{"addresses":["`...)
	dst = append(dst, address...)
	dst = append(dst, `"],"conditions":{"ready":true,"serving":true,"terminating":false},"targetRef":`+
		`{"kind":"Pod","namespace":"`...)
	dst = append(dst, namespace...)
	dst = append(dst, `","name":"pod-`...)
	dst = strconv.AppendInt(dst, int64(number), 10)
	dst = append(dst, `","uid":"`...)
	dst = appendUID(dst, "Pod", number)
	dst = append(dst, `"},"nodeName":"node-`...)
	dst = strconv.AppendInt(dst, int64(number%generatedNodes), 10)
	return append(dst, `","zone":"zone-a"}`...)
}

func appendServiceName(dst []byte, service int) []byte {
	dst = append(dst, "svc-"...)
	return strconv.AppendInt(dst, int64(service), 10)
}

// slicesOf is how many slices a Service with so many endpoints has.
func slicesOf(endpoints int) int {
	return (endpoints + sliceEndpoints - 1) / sliceEndpoints
}

// generate adds Services and their slices, numbered after those there are.
func (s *store) generate(services, endpoints, pad int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.generating = true
	defer func() { s.generating = false }()
	for ; services > 0; services-- {
		number := s.generatedServices
		s.generatedServices++
		namespace := fmt.Sprintf("ns-%d", number%generatedNamespaces)
		g := generated{service: number, endpoints: endpoints, pad: pad}
		name := string(appendServiceName(nil, number))
		s.put(&object{resource: serviceResource, namespace: namespace, name: name, clusterIP: "10", gen: &g})
		for i := range slicesOf(endpoints) {
			part := g
			part.slice = i
			s.put(&object{resource: sliceResource, namespace: namespace,
				name: fmt.Sprintf("%s-%d", name, i), gen: &part})
		}
	}
}

// changeGenerated gives one generated object its next variant; `what` is that of /change.
func (s *store) changeGenerated(number int, what string, addresses []string) (*event, error) {
	resource, name := sliceResource, fmt.Sprintf("svc-%d-0", number)
	switch what {
	case "", "endpoints":
	case "service":
		resource, name = serviceResource, fmt.Sprintf("svc-%d", number)
	default:
		return nil, fmt.Errorf("what: %q is not endpoints or service", what)
	}
	namespace := fmt.Sprintf("ns-%d", number%generatedNamespaces)
	before := s.of(resource).find(namespace, name)
	if before == nil || before.gen == nil {
		return nil, fmt.Errorf("no generated %s %s/%s", resource.kind, namespace, name)
	}
	after, g := *before, *before.gen
	g.variant++
	g.addresses = addresses
	after.gen = &g
	return s.put(&after), nil
}
