"""From stored runs to tables, figures and a page; reads the store and trains nothing."""
