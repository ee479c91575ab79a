explain --no-data _late.cml --ir > all.ir
explain --no-data _late.cml --pass cse > last.ir
$ cmp all.ir last.ir && echo "the last pass gives the whole program"
explain all.ir > again.ir
$ cmp all.ir again.ir && echo "IR text reads back to itself"
explain --no-data _late.cml --ir --skip-pass fold,simplify,dead,project,share,cse > none.ir
explain none.ir --pass fold > one.ir
explain one.ir --pass simplify > half.ir
explain half.ir --pass dead > two.ir
explain two.ir --pass project > three.ir
explain three.ir --pass share > four.ir
explain four.ir --pass cse | cmp - all.ir && echo "the passes one by one give the same"
explain --no-data _late.cml --skip-pass fold,dead | grep -A4 ^passes
