using System;
using System.Runtime.CompilerServices;
using System.Threading;
using Blanket.Abi.Xen;
using Blanket.Core.Scheduling;
using Blanket.Core.Time;
using Blanket.Machine;

namespace Blanket.Core.Domains;

/// <summary>Told when a domain stops running by itself; decides what becomes of it.</summary>
public abstract class DomainObserver
{
    /// <summary>The domain powered off, rebooted or crashed; all its vCPUs are paused. Called from its own hypercall: only take note.</summary>
    public abstract void ShutDown(Domain domain);
}

/// <summary>A guest, or the built-in services (<see cref="DomainId.Services"/>). Its parts live in the folders of their concepts.</summary>
public sealed partial class Domain
{
    /// <summary>The most vCPUs of a domain.</summary>
    public const int MaximumVcpus = 64;

    /// <summary>The most bytes of a domain's name.</summary>
    public const int MaximumNameLength = 64;

    /// <summary>Bytes that a domain takes of an arena at most, and also its tables of event channels and grants together, without its vCPUs.</summary>
    public const int ObjectSize = 32 << 10;

    private NameBuffer _name;
    private int _nameLength;
    private int _isShuttingDown;
    private int _isCrashing;

    [InlineArray(MaximumNameLength)]
    private struct NameBuffer
    {
        private byte _first;
    }

    /// <summary>A domain with no memory and no vCPU.</summary>
    public Domain(ushort id, int vcpus)
    {
        Id = id;
        Vcpus = new Vcpu?[vcpus];
        Watchdogs = new Watchdogs(this);
        Share = new DomainShare(this);
    }

    /// <summary>What it is promised of the CPUs.</summary>
    public DomainShare Share { get; }

    /// <summary>Its watchdog timers.</summary>
    public Watchdogs Watchdogs { get; }

    /// <summary>Its domain id.</summary>
    public ushort Id { get; }

    /// <summary>Its vCPUs by number; null where none has been created.</summary>
    public Vcpu?[] Vcpus { get; }

    /// <summary>True from the moment that it is being destroyed: operations on it fail, references to its frames are only dropped.</summary>
    public bool IsDying;

    /// <summary>True once it stopped by itself; see <see cref="ShutdownReason"/>.</summary>
    public bool IsShutDown { get; private set; }

    /// <summary>Why it stopped.</summary>
    public ShutdownReason ShutdownReason { get; private set; }

    /// <summary>What SCHEDOP_shutdown_code set for a shutdown to come.</summary>
    public ShutdownReason? PresetReason;

    /// <summary>Who is told when it stops.</summary>
    public DomainObserver? Observer;

    /// <summary>Its unique id.</summary>
    public Uuid Uuid;

    /// <summary>Its name.</summary>
    public ReadOnlySpan<byte> Name => ((ReadOnlySpan<byte>)_name).Slice(0, _nameLength);

    /// <summary>Sets the name; bytes over <see cref="MaximumNameLength"/> are cut.</summary>
    public void SetName(ReadOnlySpan<byte> name)
    {
        _nameLength = Math.Min(name.Length, MaximumNameLength);
        name.Slice(0, _nameLength).CopyTo(_name);
    }

    /// <summary>Stops the domain for good with SHUTDOWN_crash, for a reason that goes to the log.</summary>
    public void Crash(ReadOnlySpan<byte> reason)
    {
        if (IsShutDown || Interlocked.Exchange(ref _isCrashing, 1) != 0)
        {
            return;
        }

        Log.Line("domain "u8).Decimal(Id).Text(" "u8).Quoted(Name).Text(" crashed: "u8).Text(reason).End();
        CrashReport.Write(this);
        ShutDown(ShutdownReason.Crash);
    }

    /// <summary>Stops all its vCPUs and tells the observer (SCHEDOP_shutdown); the first call counts.</summary>
    public void ShutDown(ShutdownReason reason)
    {
        // Several of its vCPUs may get here at once.
        if (Interlocked.Exchange(ref _isShuttingDown, 1) != 0)
        {
            return;
        }

        ShutdownReason = reason == ShutdownReason.Crash || PresetReason == null ? reason : PresetReason.GetValueOrDefault();
        IsShutDown = true;
        foreach (Vcpu? vcpu in Vcpus)
        {
            if (vcpu != null)
            {
                Scheduler.Pause(vcpu);
            }
        }

        if (Observer != null)
        {
            Observer.ShutDown(this);
        }
    }
}

/// <summary>16 bytes, as RFC 9562 orders them.</summary>
[InlineArray(16)]
public struct Uuid
{
    private byte _first;
}
