"""Fashion-MNIST (Xiao, Rasul and Vollgraf 2017)."""
