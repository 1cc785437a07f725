module postern.test/tunnelbench

go 1.19
