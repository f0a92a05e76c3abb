using System;
using System.Collections.Generic;
using System.Globalization;
using System.Linq;
using Blanket.Abi;
using Blanket.Lab.Configuration;

namespace Blanket.Lab.Bundles;

/// <summary>A disk of the L0 machine.</summary>
/// <param name="Serial">How the hypervisor finds it: at most 20 ASCII characters.</param>
/// <param name="Specification">What is behind it.</param>
public sealed record PlannedDisk(string Serial, DiskSpecification Specification);

/// <summary>A guest with what the L0 machine has for it.</summary>
/// <param name="Configuration">The guest.</param>
/// <param name="ConsolePort">Port number on the virtio console device.</param>
/// <param name="Disks">Its disks in their order.</param>
public sealed record PlannedGuest(GuestConfiguration Configuration, uint ConsolePort, IReadOnlyList<PlannedDisk> Disks)
{
    /// <summary>Name of the console's port.</summary>
    public string ConsolePortName => "console." + Configuration.Name;
}

/// <summary>
/// What an L0 machine needs for a set of guests: one disk for each of their disks, one NIC for each bridge that they name,
/// one console port for each guest.
/// </summary>
public sealed class MachinePlan
{
    /// <summary>Port number of Blanket's own console; port 0 is reserved for a virtconsole device by QEMU.</summary>
    public const uint BlanketConsolePort = 1;

    /// <summary>Port name of Blanket's own console.</summary>
    public const string BlanketConsolePortName = "blanket.console";

    private MachinePlan(IReadOnlyList<PlannedGuest> guests, IReadOnlyList<string> bridges)
    {
        Guests = guests;
        Bridges = bridges;
    }

    /// <summary>The guests in their order.</summary>
    public IReadOnlyList<PlannedGuest> Guests { get; }

    /// <summary>Bridge names; the n-th is connected to the n-th NIC.</summary>
    public IReadOnlyList<string> Bridges { get; }

    /// <summary>Every disk in the order of guests and of disks in a guest.</summary>
    public IEnumerable<PlannedDisk> Disks => Guests.SelectMany(guest => guest.Disks);

    /// <summary>Plans a machine.</summary>
    /// <exception cref="InputException">The guests contradict each other, or there are too many.</exception>
    public static MachinePlan For(IReadOnlyList<GuestConfiguration> guests)
    {
        RequireLimits(guests);
        RequireDistinctGuests(guests);
        RequireDistinctAddresses(guests);
        RequireUnsharedDisks(guests);
        PlannedGuest[] planned = [.. guests.Select(Plan)];
        string[] bridges = [.. guests.SelectMany(guest => guest.Vifs).Select(vif => vif.Bridge).Distinct(StringComparer.Ordinal)];
        return bridges.Length <= BootBundle.MaximumBridges
            ? new MachinePlan(planned, bridges)
            : throw new InputException($"the guests name {bridges.Length} bridges, expected at most {BootBundle.MaximumBridges}");
    }

    /// <summary>The plan with one guest, whose disks the machine has elsewhere.</summary>
    public MachinePlan With(PlannedGuest guest) => new([guest], Bridges);

    private static PlannedGuest Plan(GuestConfiguration guest, int index)
    {
        IEnumerable<PlannedDisk> disks = guest.Disks.Select((disk, number) =>
            new PlannedDisk(string.Create(CultureInfo.InvariantCulture, $"guest{index}.disk{number}"), disk));
        return new PlannedGuest(guest, BlanketConsolePort + 1 + (uint)index, [.. disks]);
    }

    private static void RequireLimits(IReadOnlyList<GuestConfiguration> guests)
    {
        Require(guests.Count, BootBundle.MaximumGuests, "guests");
        Require(guests.Sum(guest => guest.Disks.Count), BootBundle.MaximumDisks, "disks");
        Require(guests.Sum(guest => guest.Vifs.Count), BootBundle.MaximumVifs, "vifs");
        Require(guests.Sum(guest => guest.Affinities.Count), BootBundle.MaximumAffinities, "CPU affinities");

        static void Require(int count, int maximum, string what)
        {
            if (count > maximum)
            {
                throw new InputException($"there are {count} {what}, expected at most {maximum}");
            }
        }
    }

    private static void RequireDistinctGuests(IReadOnlyList<GuestConfiguration> guests)
    {
        Dictionary<string, GuestConfiguration> seen = new(StringComparer.Ordinal);
        foreach (GuestConfiguration guest in guests)
        {
            if (!seen.TryAdd(guest.Name, guest))
            {
                throw new InputException(guest.Source, $"name = \"{guest.Name}\" is the name of the guest at {seen[guest.Name].Source} already, expected another name");
            }
        }
    }

    private static void RequireDistinctAddresses(IReadOnlyList<GuestConfiguration> guests)
    {
        Dictionary<MacAddress, VifSpecification> seen = [];
        foreach (VifSpecification vif in guests.SelectMany(guest => guest.Vifs))
        {
            if (!seen.TryAdd(vif.Mac, vif))
            {
                throw new InputException(vif.Source, $"{vif.Mac} is the address of the vif at {seen[vif.Mac].Source} already, expected another mac");
            }
        }
    }

    private static void RequireUnsharedDisks(IReadOnlyList<GuestConfiguration> guests)
    {
        Dictionary<string, DiskSpecification> seen = new(StringComparer.Ordinal);
        foreach (DiskSpecification disk in guests.SelectMany(guest => guest.Disks))
        {
            if (!seen.TryAdd(disk.Target, disk) && !(disk.ReadOnly && seen[disk.Target].ReadOnly))
            {
                throw new InputException(disk.Source, $"{disk.Target} is the disk at {seen[disk.Target].Source} already, expected read-only access (ro) in both places");
            }
        }
    }
}
