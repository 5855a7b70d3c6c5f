module github.com/afc-project/afc

go 1.26
