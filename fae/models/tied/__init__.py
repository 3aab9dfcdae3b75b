"""One hidden layer whose output layer has the weights of its input layer, transposed."""
