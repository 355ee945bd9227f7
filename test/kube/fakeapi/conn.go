// SPDX-License-Identifier: Apache-2.0

package main

import (
	"crypto/tls"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// conn is a TCP connection that can be frozen, slowed down and cut.
type conn struct {
	net.Conn
	wire   *wire
	frozen atomic.Bool
	once   sync.Once
	closed chan struct{}
	http   atomic.Value // "HTTP/1.1" or "HTTP/2.0", once there was a request
}

// wire is all connections.
type wire struct {
	rate       atomic.Int64 // bytes a second of each connection; 0: no limit
	sent       atomic.Uint64
	freezesNew atomic.Bool

	mu    sync.Mutex
	conns map[*conn]bool
}

type listener struct {
	net.Listener
	wire *wire
}

func (l listener) Accept() (net.Conn, error) {
	accepted, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	c := &conn{Conn: accepted, wire: l.wire, closed: make(chan struct{})}
	c.frozen.Store(l.wire.freezesNew.Load())
	c.http.Store("none")
	l.wire.mu.Lock()
	defer l.wire.mu.Unlock()
	l.wire.conns[c] = true
	return c, nil
}

// connOf is what a connection of the HTTP server stands on.
func connOf(c net.Conn) *conn {
	if t, ok := c.(*tls.Conn); ok {
		c = t.NetConn()
	}
	return c.(*conn)
}

// gate holds up whoever uses a frozen connection until it is closed.
func (c *conn) gate() {
	if c.frozen.Load() {
		<-c.closed
	}
}

func (c *conn) Read(b []byte) (int, error) {
	c.gate()
	n, err := c.Conn.Read(b)
	c.gate()
	return n, err
}

func (c *conn) Write(b []byte) (int, error) {
	written := 0
	for written < len(b) {
		c.gate()
		part := b[written:]
		if rate := int(c.wire.rate.Load()); rate > 0 {
			part = part[:min(len(part), max(1, rate/20))]
			time.Sleep(time.Duration(len(part)) * time.Second / time.Duration(rate))
		}
		n, err := c.Conn.Write(part)
		written += n
		c.wire.sent.Add(uint64(n))
		if err != nil {
			return written, err
		}
	}
	return written, nil
}

func (c *conn) Close() error {
	c.once.Do(func() {
		close(c.closed)
		c.wire.mu.Lock()
		delete(c.wire.conns, c)
		c.wire.mu.Unlock()
	})
	return c.Conn.Close()
}

// cut ends the connection: by RST, or by FIN once what was written is sent.
func (c *conn) cut(reset bool) {
	if tcp, ok := c.Conn.(*net.TCPConn); ok && reset {
		tcp.SetLinger(0)
	}
	c.Close()
}

func (w *wire) all() []*conn {
	w.mu.Lock()
	defer w.mu.Unlock()
	var all []*conn
	for c := range w.conns {
		all = append(all, c)
	}
	return all
}

func (w *wire) cut(reset bool) {
	for _, c := range w.all() {
		c.cut(reset)
	}
}

func (w *wire) freeze(newOnes bool) {
	w.freezesNew.Store(newOnes)
	for _, c := range w.all() {
		c.frozen.Store(true)
	}
}

// thaw is the return of a server that knows nothing of its connections.
func (w *wire) thaw() {
	w.freezesNew.Store(false)
	for _, c := range w.all() {
		if c.frozen.Load() {
			c.cut(true)
		}
	}
}

func (w *wire) byProtocol() map[string]int {
	found := map[string]int{}
	for _, c := range w.all() {
		found[c.http.Load().(string)]++
	}
	return found
}
