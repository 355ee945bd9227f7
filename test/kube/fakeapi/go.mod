module sluice.dev/test/kube/fakeapi

go 1.26.0
