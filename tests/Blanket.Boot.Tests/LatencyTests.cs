using System;
using System.Collections.Generic;
using System.Globalization;
using System.Linq;
using System.Text.RegularExpressions;
using System.Threading;
using System.Threading.Tasks;
using Blanket.Lab.Runs;

namespace Blanket.Boot.Tests;

public sealed class LatencyTests
{
    private const string Neighbour = "neighbour";
    private const string Reader = "reader";

    /// <summary>What a request may take longer besides, in ns: a wake-up of the host's.</summary>
    private const double Slack = 1_000_000;

    /// <summary>Neighbours, and how many times as long a request may take next to them. Half a machine makes it twice.</summary>
    private static readonly (string Kind, double Factor)[] s_floods =
    [
        ("compute", 2), ("events", 2),

        // The NIC and both disks are served by one thread of QEMU's, which no share of L1's rules.
        ("packets", 4), ("requests", 6),
    ];

    /// <summary>
    /// A guest that computes, next to one that is taken apart on the same CPU and built again, waits for a part of that time only, and often for short
    /// times instead of once for long. As it always wants the CPU, the other's coming back shows that teardown and start have their shares, too.
    /// </summary>
    [Fact]
    public async Task ARebootGivesWayToOtherGuests()
    {
        const string large = "large";
        const int largeMiB = 1024;
        BootDirectory directory = BootDirectory.For(nameof(ARebootGivesWayToOtherGuests));
        string watch = TestKernel.Write(directory, Neighbour, "flood=1");
        string victim = TestKernel.Write(directory, large, largeMiB, "flood=1", "on_reboot = \"restart\"");
        int ready = 0;
        (ulong Longest, ulong All)? waits = null;
        GuestMachine machine = null!;
        machine = new(directory)
        {
            OnLine = (name, line) =>
            {
                if (line.TrimEnd() == "flood:")
                {
                    Begin(Interlocked.Increment(ref ready));
                }
                else if (line == "flood: watch")
                {
                    machine.Type(large, "reboot");
                }
                else if (Regex.Match(line, "^watch: longest wait ([0-9]+) of ([0-9]+) ticks$") is { Success: true } seen)
                {
                    waits = (ulong.Parse(seen.Groups[1].Value, CultureInfo.InvariantCulture), ulong.Parse(seen.Groups[2].Value, CultureInfo.InvariantCulture));
                }
            },
        };
        await machine.RequirePoweroffAsync(watch, victim);
        Assert.NotNull(waits);
        Assert.True(waits.Value.Longest < waits.Value.All / 4, $"the longest wait was {waits.Value.Longest} of {waits.Value.All} ticks (logs: {directory.Root})");

        void Begin(int kernels)
        {
            if (kernels == 2)
            {
                machine.Type(Neighbour, "watch");
            }
            else if (kernels == 3)
            {
                machine.Type(Neighbour, "end");
                machine.Type(large, "end");
            }
        }
    }

    /// <summary>
    /// A guest that reads from its disk now and then, on one CPU with a neighbour of the same weight that computes, or floods event channels, its
    /// disk's ring or its vif's: a request does not take longer than with half a machine, apart from what L0's thread for devices adds.
    /// </summary>
    [Fact]
    public async Task FloodsCostTheNeighbourNoMoreThanItsShare()
    {
        BootDirectory directory = BootDirectory.For(nameof(FloodsCostTheNeighbourNoMoreThanItsShare));
        TestGuest guest = await TestGuest.CreateAsync();
        GuestPrograms programs = await GuestPrograms.PrepareAsync("ioping");
        string reader = guest.WriteWithInit(
            directory, Reader, "latency.sh", string.Empty, programs.ToArchive(), TestGuest.Disks(directory.CreateDisk("disk.raw", 64)));
        string neighbour = TestKernel.Write(
            directory, Neighbour, "flood=1", TestGuest.Disks(directory.CreateDisk("neighbour.raw", 64)), "vif = [ \"\" ]");
        Dictionary<string, TaskCompletionSource> begun = [];
        Dictionary<string, double> latencies = [];
        GuestMachine machine = new(directory) { OnLine = Note };
        foreach (string kind in (string[])["rest", .. s_floods.Select(flood => flood.Kind), "end"])
        {
            machine.When(kind, () => FloodAsync(kind));
        }

        await machine.RequirePoweroffAsync(reader, neighbour);
        foreach ((string kind, double factor) in s_floods)
        {
            Assert.True(latencies[kind] <= factor * latencies["rest"] + Slack, $"a request takes {latencies[kind]} ns next to {kind}, {latencies["rest"]} ns alone (logs: {directory.Root})");
        }

        Task FloodAsync(string kind)
        {
            TaskCompletionSource started = new(TaskCreationOptions.RunContinuationsAsynchronously);
            begun[$"flood: {kind}"] = started;
            machine.Type(Neighbour, kind);
            return kind == "end" ? Task.CompletedTask : started.Task;
        }

        void Note(string name, string line)
        {
            if (name == Neighbour && begun.TryGetValue(line, out TaskCompletionSource? started))
            {
                started.TrySetResult();
            }

            Match latency = Regex.Match(line, "^latency: ([a-z]+) ([0-9]+) ns");
            if (latency.Success)
            {
                latencies[latency.Groups[1].Value] = double.Parse(latency.Groups[2].Value, CultureInfo.InvariantCulture);
            }
        }
    }
}
