// Goroutines on one processor: FIGURE COUNT, as measure.py's main().
package main

import (
	"bufio"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"sync"
	"syscall"
)

const batch = 1000

func clock() int64 {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		panic(err)
	}
	return usage.Utime.Nano() + usage.Stime.Nano()
}

// runAll starts the functions and measures until the last has ended.
func runAll(functions ...func()) int64 {
	var group sync.WaitGroup
	group.Add(len(functions))
	begin := clock()
	for _, function := range functions {
		function := function
		go func() {
			function()
			group.Done()
		}()
	}
	group.Wait()
	return clock() - begin
}

//go:noinline
func spinAtDepth(depth, times int) int {
	if depth > 1 {
		return spinAtDepth(depth-1, times) + depth
	}
	for i := 0; i < times; i++ {
		runtime.Gosched()
	}
	return depth
}

func switchAmong(goroutines, depth int) func(int) int64 {
	return func(count int) int64 {
		var group sync.WaitGroup
		group.Add(goroutines)
		for i := 0; i < goroutines; i++ {
			go func() {
				spinAtDepth(depth, 1+count/goroutines)
				group.Done()
			}()
		}
		runtime.Gosched() // each has begun before the clock runs
		begin := clock()
		group.Wait()
		return clock() - begin
	}
}

func message(count int) int64 {
	channel := make(chan int)
	return runAll(func() {
		for i := 0; i < count; i++ {
			<-channel
		}
	}, func() {
		for i := 0; i < count; i++ {
			channel <- i
		}
	})
}

func pingpong(count int) int64 {
	there, back := make(chan int), make(chan int)
	return runAll(func() {
		for i := 0; i < count/2; i++ {
			there <- i
			<-back
		}
	}, func() {
		for i := 0; i < count/2; i++ {
			<-there
			back <- i
		}
	})
}

var sink int

func create(count int) int64 {
	begin := clock()
	for done := 0; done < count; done += batch {
		var group sync.WaitGroup
		group.Add(batch)
		for i := 0; i < batch; i++ {
			go func(argument int) {
				sink = argument
				group.Done()
			}(i)
		}
		group.Wait()
	}
	return clock() - begin
}

func residentBytes() int64 {
	runtime.GC()
	file, err := os.Open("/proc/self/smaps_rollup")
	if err != nil {
		panic(err)
	}
	defer file.Close()
	for lines := bufio.NewScanner(file); lines.Scan(); {
		var kib int64
		if n, _ := fmt.Sscanf(lines.Text(), "Rss: %d kB", &kib); n == 1 {
			return kib * 1024
		}
	}
	panic("no Rss in /proc/self/smaps_rollup")
}

func memory(count int) int64 {
	channel := make(chan int)
	start := func(number int) {
		for i := 0; i < number; i++ {
			go func() { <-channel }()
		}
		runtime.Gosched()
	}
	start(100)
	before := residentBytes()
	start(count)
	used := residentBytes() - before
	close(channel)
	return used
}

func main() {
	runtime.GOMAXPROCS(1)
	figures := map[string]func(int) int64{
		"switch_2":       switchAmong(2, 1),
		"switch_10000":   switchAmong(10000, 1),
		"deep50":         switchAmong(2, 50),
		"message":        message,
		"pingpong":       pingpong,
		"create":         create,
		"memory_tasklet": memory,
	}
	name := os.Args[1]
	count, err := strconv.Atoi(os.Args[2])
	if err != nil {
		panic(err)
	}
	total := figures[name](count)
	fmt.Printf("{\"figure\": %q, \"count\": %d, \"value\": %f}\n", name, count,
		float64(total)/float64(count))
}
