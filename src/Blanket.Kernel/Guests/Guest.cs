using System;
using Blanket.Abi;
using Blanket.Backends;
using Blanket.Core.Domains;
using Blanket.Core.Scheduling;
using Blanket.Drivers;
using Blanket.Drivers.Xen.Console;
using Blanket.Kernel.Platform.Xen;
using Blanket.Kernel.Services;
using Blanket.Machine;

namespace Blanket.Kernel.Guests;

/// <summary>A guest: its configuration and, while it runs, its domain and devices. The objects of guests that are gone serve new ones.</summary>
internal sealed class Guest : DomainObserver
{
    /// <summary>The most disks of a guest.</summary>
    internal const int MaximumDisks = 32;

    /// <summary>The most vifs of a guest.</summary>
    internal const int MaximumVifs = 16;

    /// <summary>Bytes that a place takes of the arena at most.</summary>
    internal const int ObjectSize = (8 << 10) + XenConsolePort.ObjectSize;

    /// <summary>A place for a guest.</summary>
    internal Guest()
    {
        Arena = new Arena();
        Devices = new GuestDevices(this);
        LinePort = XenPlatform.Console?.CreatePort();
    }

    /// <summary>Whether it is a guest at all, and not a place for one.</summary>
    internal bool IsConfigured { get; private set; }

    /// <summary>Its configuration.</summary>
    internal BootBundleGuest Record;

    /// <summary>The bundle with its kernel and ramdisk; empty once it cannot be started again.</summary>
    internal BundleMemory Bundle;

    /// <summary>It goes for good once its domain is gone: it came at run time, so nobody else keeps its bundle.</summary>
    internal bool IsTransient;

    /// <summary>Where the objects of its domain are.</summary>
    internal Arena Arena { get; }

    /// <summary>Its devices' backends.</summary>
    internal GuestDevices Devices { get; }

    /// <summary>Its part of the line that consoles share on Xen; null where L0 has a port for each.</summary>
    internal XenConsolePort? LinePort { get; }

    /// <summary>L0's port for its console; null when there is none.</summary>
    internal ConsolePort? ConsolePort
    {
        get
        {
            if (LinePort != null)
            {
                return LinePort;
            }

            ReadOnlySpan<byte> prefix = "console."u8;
            Span<byte> name = stackalloc byte[prefix.Length + BootBundleName.Size];
            prefix.CopyTo(name);
            Name.CopyTo(name.Slice(prefix.Length));
            return DeviceRegistry.Found.FindConsole(name.Slice(0, prefix.Length + Name.Length));
        }
    }

    /// <summary>Where it is in its life.</summary>
    internal GuestState State;

    /// <summary>Its domain; null while it is stopped.</summary>
    internal Domain? Domain;

    /// <summary>How far its start is.</summary>
    internal GuestStart Start;

    /// <summary>How far its teardown is.</summary>
    internal TeardownStep Teardown;

    /// <summary>Its start or its teardown is to go on in the next turn of <see cref="GuestManager.LongWork"/>.</summary>
    internal bool AwaitsTurn;

    /// <summary>What its teardown waits for at last.</summary>
    internal ulong GracePeriod;

    /// <summary>How often its teardown found frames that are still referred to.</summary>
    internal int FrameWaits;

    /// <summary>It is to be started again once its domain is gone.</summary>
    internal bool StartsAgain;

    /// <summary>It has been added and has not been started yet: nothing of what ran is lost when it cannot be.</summary>
    internal bool IsNew;

    /// <summary>Frames that its domain is asked to have (memory/target), that it is to have when there is enough, and that it keeps in any case.</summary>
    internal ulong Target;
    internal ulong Wish;
    internal ulong Floor;

    /// <summary>An operator paused it.</summary>
    internal bool IsPaused;

    /// <summary>Takes a guest in, which has not been started.</summary>
    /// <returns>False when its console's port on a line that consoles share is another's; the log says so.</returns>
    internal bool TryConfigure(in BootBundleGuest record, BundleMemory bundle, bool isTransient)
    {
        if (LinePort != null && !LinePort.TryTake(record.ConsolePort))
        {
            Log.Line("guest "u8).Quoted(NameOf(in record))
                .Text(": console port "u8).Decimal(record.ConsolePort).Text(" is another's, or no port of the line"u8).End();
            return false;
        }

        Record = record;
        Bundle = bundle;
        IsTransient = isTransient;
        IsConfigured = true;
        State = GuestState.Stopped;

        // What is typed before it is built, or while it is for a reboot, waits for it.
        ConsolePort?.KeepInput();
        return true;
    }

    /// <summary>The guest is gone; its place is free.</summary>
    internal void Forget()
    {
        IsConfigured = false;
        LinePort?.Leave();
        if (IsTransient)
        {
            Bundle.Free();
        }

        Bundle = default;
    }

    /// <summary>Its name.</summary>
    internal ReadOnlySpan<byte> Name => NameOf(in Record);

    /// <summary>The name in a guest's record.</summary>
    internal static ReadOnlySpan<byte> NameOf(in BootBundleGuest record)
    {
        ReadOnlySpan<byte> padded = record.Name;
        int end = padded.IndexOf((byte)0);
        return end < 0 ? padded : padded.Slice(0, end);
    }

    /// <inheritdoc/>
    public override void ShutDown(Domain domain)
    {
        State = GuestState.Ended;
        GuestManager.Wake();
    }
}
