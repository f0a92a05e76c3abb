using System;
using System.Collections.Generic;
using System.Linq;
using System.Net;
using Blanket.Abi;
using Blanket.Lab.Bundles;
using Blanket.Lab.Configuration;

namespace Blanket.Cli.Tests;

/// <summary>Guests for tests of bundles; what the numbers are drawn from is given, so that a failure can be repeated.</summary>
internal static class TestGuests
{
    private static readonly SourceLine Nowhere = new("test", 1);

    internal static IReadOnlyList<GuestConfiguration> Random(int seed, int count)
    {
        Random random = new(seed);
        return [.. Enumerable.Range(0, count).Select(index => Guest(random, index))];
    }

    internal static byte[] Bundle(int seed, IReadOnlyList<GuestConfiguration> guests, string options)
    {
        MachinePlan plan = MachinePlan.For(guests);
        return BundleWriter.Write(plan, [.. plan.Guests.Select((guest, index) => new BundledGuest(guest, Kernel(seed, index), Ramdisk(seed, index)))], options);
    }

    /// <summary>Guests with even numbers share one kernel.</summary>
    internal static byte[] Kernel(int seed, int guest) => Bytes(seed, guest % 2 == 0 ? 0 : guest);

    internal static byte[]? Ramdisk(int seed, int guest) => guest % 3 == 2 ? null : Bytes(seed ^ 0x5555, guest);

    private static byte[] Bytes(int seed, int index)
    {
        Random random = new(HashCode.Combine(seed, index));
        byte[] bytes = new byte[random.Next(1, 20_000)];
        random.NextBytes(bytes);
        return bytes;
    }

    private static GuestConfiguration Guest(Random random, int index)
    {
        string name = $"guest-{index}";
        int vcpus = random.Next(1, 9);
        return new GuestConfiguration
        {
            Source = Nowhere,
            Name = name,
            Uuid = Guid.NewGuid(),
            MemoryMiB = random.Next(8, 4096),
            MaximumMemoryMiB = random.Next(4096, 8192),
            MinimumMemoryMiB = random.Next(4, 9),
            Vcpus = vcpus,
            MaximumVcpus = vcpus + random.Next(0, 3),
            Kernel = "/kernel",
            KernelSource = Nowhere,
            CommandLine = random.Next(2) == 0 ? string.Empty : "console=hvc0 é",
            OnPoweroff = (BootBundleAction)random.Next(6),
            OnReboot = (BootBundleAction)random.Next(6),
            OnCrash = (BootBundleAction)random.Next(6),
            OnWatchdog = (BootBundleAction)random.Next(6),
            Weight = (uint)random.Next(1, 65536),
            Cap = (uint)random.Next(0, 400),
            Affinities = random.Next(2) == 0 ? [] : [CpuSet.TryParse("0-3,200")!],
            Disks = [.. Enumerable.Range(0, random.Next(0, 4)).Select(disk => Disk(random, index, disk))],
            Vifs = [.. Enumerable.Range(0, random.Next(0, 4)).Select(vif => Vif(random, name, vif))],
        };
    }

    private static DiskSpecification Disk(Random random, int guest, int disk) => new(
        Nowhere, $"/disk/{guest}/{disk}", DiskFormat.Raw, VirtualDevice.TryParse($"xvd{(char)('a' + disk)}")!, random.Next(2) == 0, random.Next(2) == 0);

    private static VifSpecification Vif(Random random, string guest, int vif) => new(
        Nowhere,
        (uint)vif,
        MacAddress.FromSeed($"{guest}/{vif}"),
        $"xenbr{random.Next(3)}",
        random.Next(2) == 0 ? null : (ushort)1400,
        random.Next(2) == 0 ? null : new VifRate((ulong)random.Next(1, 1_000_000), 50_000),
        random.Next(2) == 0 ? [] : [IPNetwork.Parse("10.1.2.3/32"), IPNetwork.Parse("2001:db8::/32")]);
}
