// Empty: this package only names a source to fetch.
