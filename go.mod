module github.com/afc-project/afc

go 1.26

require (
	github.com/google/go-cmp v0.7.0
	github.com/sbinet/npyio v0.6.0
	github.com/yalue/onnxruntime_go v1.27.0
	golang.org/x/sys v0.0.0-20210304124612-50617c2ba197
	google.golang.org/protobuf v1.36.12
)

require gonum.org/v1/gonum v0.9.3 // indirect
