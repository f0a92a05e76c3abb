using System;
using System.Collections.Generic;
using System.Diagnostics;
using System.Globalization;
using System.Linq;
using System.Threading.Tasks;
using Blanket.Abi;
using Blanket.Lab.Bundles;
using Blanket.Lab.Instances;

namespace Blanket.Boot.Tests;

public sealed class CycleTests
{
    /// <summary>Environment variable with a number of cycles; 1000 take some 20 minutes.</summary>
    private const string CountVariable = "BLANKET_CYCLES";

    private const int DefaultCycles = 20;
    private const int CyclesPerLinux = 20;

    // One of so many is destroyed while it is being built.
    private const int CyclesPerStart = 4;
    private const int TimeoutSeconds = 3600;

    // Enough that requests of several kinds are under way.
    private const ulong EnoughWrites = 16;
    private const ulong EnoughPackets = 8;

    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(180);

    /// <summary>
    /// Guests that are destroyed while they work: a Linux that writes and pings, and between two of those the test kernel in the midst of
    /// random hypercalls. Afterwards everything is as it was.
    /// </summary>
    [Fact]
    public async Task DestroyedGuestsLeaveNothingBehind()
    {
        int cycles = int.TryParse(Environment.GetEnvironmentVariable(CountVariable), CultureInfo.InvariantCulture, out int wanted) ? wanted : DefaultCycles;
        BootDirectory directory = BootDirectory.For(nameof(DestroyedGuestsLeaveNothingBehind));
        TestGuest guest = await TestGuest.CreateAsync();
        const string network = "vif = [ \"\" ]";
        string linux = guest.WriteWithInit(directory, "linux", "inflight.sh", network, TestGuest.Disks(directory.CreateDisk("disk.raw", 8)));
        string first = TestKernel.Write(directory, "first", "fuzz=1 seed=1", network);
        await using OperatorSession session = await OperatorSession.StartAsync(directory, ["--cpus", "2", "--memory", "800", first], TimeoutSeconds);
        Instance instance = session.Instance;
        using ManagementClient client = await ManagementClient.ConnectAsync(instance, static () => { }, default);
        using QemuParts machine = await QemuParts.ConnectAsync(instance, default);
        await AwaitAsync(client, static guests => guests.Count == 0, "the first guest's end");

        Random random = new(1);
        string? expected = null;
        for (int cycle = 0; cycle < cycles + CyclesPerLinux; cycle++)
        {
            if (cycle % CyclesPerLinux == 0)
            {
                await RunLinuxAsync(client, machine, linux);
            }
            else
            {
                await RunKernelAsync(client, directory, cycle, random.Next(150));
            }

            // What the first of each kind has made stays for the next: places for guests, and such.
            string counts = new AuditCounts(await client.AuditAsync(default)).ToString();
            expected = cycle < CyclesPerLinux ? counts : expected;
            Assert.True(counts == expected, $"after cycle {cycle}: {counts}, expected {expected} (logs: {directory.Root})");
        }
    }

    private static async Task RunLinuxAsync(ManagementClient client, QemuParts machine, string configuration)
    {
        MachinePlan plan = BundleBuilder.Plan([configuration], static _ => { });
        PlannedGuest guest = plan.Guests[0];
        IReadOnlyList<PlannedDisk> disks = await machine.AddDisksAsync(guest.Configuration.Name, guest.Disks, default);
        await client.StartAsync(await BundleBuilder.BuildAsync(plan.With(guest with { Disks = disks }), string.Empty, default), default);
        await AwaitAsync(
            client, static guests => guests.Any(guest => guest.Writes > EnoughWrites && guest.SentPackets > EnoughPackets), "writes and packets of the Linux guest");
        await DestroyAsync(client, guest.Configuration.Name);
        await machine.RemoveOthersAsync([], default);
    }

    private static async Task RunKernelAsync(ManagementClient client, BootDirectory directory, int seed, int milliseconds)
    {
        string configuration = TestKernel.Write(
            directory, "kernel", string.Create(CultureInfo.InvariantCulture, $"fuzz=100000000 seed={seed}"), "vif = [ \"\" ]", "on_crash = \"preserve\"");
        MachinePlan plan = BundleBuilder.Plan([configuration], static _ => { });
        await client.StartAsync(await BundleBuilder.BuildAsync(plan, string.Empty, default), default);

        // At any moment of its work it has to go, and of its start too.
        if (seed % CyclesPerStart != 0)
        {
            await AwaitAsync(client, static guests => !guests.Any(guest => ManagementClient.IsComing(in guest)), "the kernel's start");
        }

        await Task.Delay(milliseconds);
        await DestroyAsync(client, "kernel");
    }

    private static async Task DestroyAsync(ManagementClient client, string name)
    {
        await client.ChangeAsync(ManagementCommand.Destroy, name, 0, default);
        await AwaitAsync(client, static guests => guests.Count == 0, $"the end of {name}");
    }

    private static async Task AwaitAsync(ManagementClient client, Func<IReadOnlyList<ManagementGuest>, bool> condition, string what)
    {
        Stopwatch watch = Stopwatch.StartNew();
        while (!condition(await client.ListAsync(default)))
        {
            Assert.True(watch.Elapsed < s_patience, $"{what} did not come");
            await Task.Delay(10);
        }
    }
}
