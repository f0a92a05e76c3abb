using System;
using Blanket.Abi;
using Blanket.Backends;
using Blanket.Core.Domains;
using Blanket.Core.Scheduling;
using Blanket.Machine;

namespace Blanket.Kernel.Guests;

/// <summary>A guest of the boot bundle: its configuration and, while it runs, its domain and devices.</summary>
internal sealed class Guest : DomainObserver
{
    /// <summary>The most disks of a guest.</summary>
    internal const int MaximumDisks = 32;

    /// <summary>The most vifs of a guest.</summary>
    internal const int MaximumVifs = 16;

    /// <summary>A guest that has not been started.</summary>
    /// <param name="index">Its number in the bundle.</param>
    /// <param name="record">Its configuration.</param>
    internal Guest(int index, in BootBundleGuest record)
    {
        Index = index;
        Record = record;
        Arena = new Arena();
        Devices = new GuestDevices(this);
    }

    /// <summary>Its number in the bundle.</summary>
    internal int Index { get; }

    /// <summary>Its configuration.</summary>
    internal BootBundleGuest Record;

    /// <summary>Where the objects of its domain are.</summary>
    internal Arena Arena { get; }

    /// <summary>Its devices' backends.</summary>
    internal GuestDevices Devices { get; }

    /// <summary>Where it is in its life.</summary>
    internal GuestState State;

    /// <summary>Its domain; null while it is stopped.</summary>
    internal Domain? Domain;

    /// <summary>How far its teardown is.</summary>
    internal TeardownStep Teardown;

    /// <summary>What its teardown waits for at last.</summary>
    internal ulong GracePeriod;

    /// <summary>It is to be started again once its domain is gone.</summary>
    internal bool StartsAgain;

    /// <summary>Its name.</summary>
    internal ReadOnlySpan<byte> Name
    {
        get
        {
            ReadOnlySpan<byte> padded = Record.Name;
            int end = padded.IndexOf((byte)0);
            return end < 0 ? padded : padded.Slice(0, end);
        }
    }

    /// <inheritdoc/>
    public override void ShutDown(Domain domain)
    {
        State = GuestState.Ended;
        GuestManager.Wake();
    }
}
