module github.com/afc-project/afc

go 1.26

require (
	github.com/google/go-cmp v0.7.0
	github.com/nlpodyssey/gopickle v0.2.0
	github.com/nlpodyssey/safetensors v0.0.0-20250209183917-bfb01cc25f7c
	github.com/sbinet/npyio v0.6.0
)

require gonum.org/v1/gonum v0.9.3 // indirect
