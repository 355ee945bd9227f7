// SPDX-License-Identifier: Apache-2.0

package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"
)

const firstToken = "first-token"

// keys are a certificate authority and the server's certificate, which change
// on command.
type keys struct {
	file string // the CA's certificate, for clients
	ip   net.IP

	mu     sync.Mutex
	ca     *x509.Certificate
	caKey  *ecdsa.PrivateKey
	leaf   tls.Certificate
	serial int64
}

func newKeys(folder string, ip net.IP) (*keys, error) {
	k := &keys{file: filepath.Join(folder, "ca.crt"), ip: ip}

	return k, k.change("new", "valid", true)
}

// validity of a certificate that holds, or of one that expired a day ago.
func validity(expired bool) (time.Time, time.Time) {
	now := time.Now()
	if expired {
		return now.Add(-48 * time.Hour), now.Add(-24 * time.Hour)
	}
	return now.Add(-time.Hour), now.Add(30 * 24 * time.Hour)
}

// sign makes a certificate of `template`, by `parent` or, if that is nil, by itself.
func (k *keys) sign(template, parent *x509.Certificate, parentKey *ecdsa.PrivateKey,
	expired bool) (*x509.Certificate, *ecdsa.PrivateKey, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	if parent == nil {
		parent, parentKey = template, key
	}
	k.serial++
	template.SerialNumber = big.NewInt(time.Now().Unix()<<16 + k.serial)
	template.NotBefore, template.NotAfter = validity(expired)
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, parentKey)
	if err != nil {
		return nil, nil, err
	}
	certificate, err := x509.ParseCertificate(der)
	return certificate, key, err
}

// change makes what new connections are shown: see /certificate in main.go.
func (k *keys) change(ca, leaf string, write bool) error {
	k.mu.Lock()
	defer k.mu.Unlock()

	switch ca {
	case "keep":
	case "new", "expired":
		template := &x509.Certificate{
			Subject: pkix.Name{CommonName: fmt.Sprintf("fakeapi-ca-%d", k.serial)},
			IsCA:    true, BasicConstraintsValid: true,
			KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign | x509.KeyUsageDigitalSignature,
		}
		certificate, key, err := k.sign(template, nil, nil, ca == "expired")
		if err != nil {
			return err
		}
		k.ca, k.caKey = certificate, key
	default:
		return fmt.Errorf("ca: %q is not keep, new or expired", ca)
	}
	if leaf != "valid" && leaf != "expired" {
		return fmt.Errorf("leaf: %q is not valid or expired", leaf)
	}
	template := &x509.Certificate{
		Subject:     pkix.Name{CommonName: "kube-apiserver"},
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		IPAddresses: []net.IP{k.ip}, DNSNames: []string{"kubernetes.default.svc"},
	}
	certificate, key, err := k.sign(template, k.ca, k.caKey, leaf == "expired")
	if err != nil {
		return err
	}
	k.leaf = tls.Certificate{Certificate: [][]byte{certificate.Raw}, PrivateKey: key}
	if !write {
		return nil
	}
	return replaceFile(k.file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: k.ca.Raw}))
}

// config is the TLS configuration of one more connection.
func (k *keys) config(protocols []string) *tls.Config {
	return &tls.Config{
		NextProtos: protocols,
		// A resumed session would not be shown the certificate of now.
		SessionTicketsDisabled: true,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
			k.mu.Lock()
			defer k.mu.Unlock()
			leaf := k.leaf
			return &leaf, nil
		},
	}
}

// replaceFile never lets a reader see a part of it.
func replaceFile(path string, data []byte) error {
	if err := os.WriteFile(path+".new", data, 0o600); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}

func writeKubeconfig(folder, address string) error {
	token := filepath.Join(folder, "token")
	if err := replaceFile(token, []byte(firstToken+"\n")); err != nil {
		return err
	}
	type m = map[string]any
	// JSON is YAML.
	text, err := json.MarshalIndent(m{
		"apiVersion": "v1", "kind": "Config", "current-context": "fakeapi",
		"clusters": []m{{"name": "fakeapi", "cluster": m{"server": "https://" + address,
			"certificate-authority": filepath.Join(folder, "ca.crt")}}},
		"users":    []m{{"name": "user", "user": m{"tokenFile": token}}},
		"contexts": []m{{"name": "fakeapi", "context": m{"cluster": "fakeapi", "user": "user"}}},
	}, "", "  ")
	if err != nil {
		return err
	}
	return replaceFile(filepath.Join(folder, "kubeconfig"), text)
}
