//go:build cgo

package ort

import (
	"fmt"
	"strings"
	"sync"

	native "github.com/yalue/onnxruntime_go"
)

// environment starts ONNX Runtime once a process. It is never torn down:
// unloading the library while its threads end is not safe.
var environment = sync.OnceValue(func() error {
	lib, err := Find()
	if err != nil {
		return err
	}
	native.SetSharedLibraryPath(lib.Path)
	if err := native.InitializeEnvironment(native.WithLogLevelWarning()); err != nil {
		reason := fmt.Sprintf("%s (found through %s) does not load: %v", lib.Path, lib.From, err)
		if strings.Contains(err.Error(), "setting ORT API base") {
			reason = fmt.Sprintf("%s (found through %s) is older than 1.24", lib.Path, lib.From)
		}
		return &UnavailableError{"ONNX Runtime", reason, howToGet}
	}
	return nil
})

// Version returns the version of the ONNX Runtime that is used.
func Version() (string, error) {
	if err := environment(); err != nil {
		return "", err
	}
	return native.GetVersion(), nil
}

// ortEngine is a session of ONNX Runtime.
type ortEngine struct {
	name    string
	session *native.DynamicAdvancedSession
	inputs  []IO
	outputs []IO
}

// open loads a model and returns what the runtime logged meanwhile.
func open(src modelSource, opt SessionOptions) (engine, []string, error) {
	if err := environment(); err != nil {
		return nil, nil, err
	}
	so, err := sessionOptions(src, opt)
	if err != nil {
		return nil, nil, err
	}
	defer so.Destroy()
	in, out := names(src.inputs), names(src.outputs)
	var session *native.DynamicAdvancedSession
	log, err := captureLog(func() error {
		if src.path != "" {
			session, err = native.NewDynamicAdvancedSession(src.path, in, out, so)
		} else {
			session, err = native.NewDynamicAdvancedSessionWithONNXData(src.data, in, out, so)
		}
		return err
	})
	if err != nil {
		return nil, nil, &RunError{src.name, "load", runtimeText(err)}
	}
	return &ortEngine{src.name, session, src.inputs, src.outputs}, log, nil
}

// runtimeText drops the binding's own words from an error.
func runtimeText(err error) string {
	text := err.Error()
	for _, prefix := range []string{"Error creating C session from file: ", "Error creating C session: ", "Error running network: "} {
		text = strings.TrimPrefix(text, prefix)
	}
	return text
}

var ortOptLevels = map[OptLevel]native.GraphOptimizationLevel{
	OptNone: native.GraphOptimizationLevelDisableAll,
	OptAll:  native.GraphOptimizationLevelEnableAll,
}

func sessionOptions(src modelSource, opt SessionOptions) (_ *native.SessionOptions, err error) {
	so, err := native.NewSessionOptions()
	if err != nil {
		return nil, &RunError{src.name, "session options", err.Error()}
	}
	defer func() {
		if err != nil {
			so.Destroy()
		}
	}()
	set := func(call string, e error) {
		if e != nil && err == nil {
			err = &RunError{src.name, call, e.Error()}
		}
	}
	set("log level", so.SetLogSeverityLevel(native.LoggingLevelWarning))
	set("optimisation level", so.SetGraphOptimizationLevel(ortOptLevels[opt.OptLevel]))
	if opt.Threads > 0 {
		set("threads", so.SetIntraOpNumThreads(opt.Threads))
		set("threads", so.SetInterOpNumThreads(1))
	}
	if opt.NoArena {
		set("memory arena", so.SetCpuMemArena(false))
		set("memory pattern", so.SetMemPattern(false))
	}
	if opt.ProfilePrefix != "" {
		set("profiling", so.EnableProfiling(opt.ProfilePrefix))
	}
	if opt.OptimizedPath != "" {
		set("optimised model path", so.SetOptimizedModelFilePath(opt.OptimizedPath))
	}
	if src.folder != "" {
		set("external data folder", so.AddSessionConfigEntry("session.model_external_initializers_file_folder_path", src.folder))
	}
	for key, value := range opt.Config {
		set("config "+key, so.AddSessionConfigEntry(key, value))
	}
	if err == nil && !opt.Provider.CPU() {
		err = appendProvider(so, opt.Provider)
	}
	if err != nil {
		return nil, err
	}
	return so, nil
}

func (e *ortEngine) close() error {
	if err := e.session.Destroy(); err != nil {
		return &RunError{e.name, "close", err.Error()}
	}
	return nil
}
