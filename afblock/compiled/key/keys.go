package key

const (
	// Network holds the network's structure: all that neither the operators
	// nor the shapes of the tensors tell. An exported checkpoint has it, too.
	Network = "afc.network"
	// Note holds a sentence for people who look at a model's properties.
	Note = "afc.note"
	// Optimized marks models in which afc optimize gave the temporal shift a
	// stream of its own, a form that is not recognised again.
	Optimized = "afc.optimized"
)
