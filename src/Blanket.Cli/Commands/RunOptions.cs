using System;
using System.Collections.Generic;
using System.CommandLine;
using System.CommandLine.Parsing;
using System.Globalization;
using System.Linq;
using Blanket.Cli.Running;
using Blanket.Lab.Configuration;
using Blanket.Lab.Qemu;
using Blanket.Lab.StockXen;

namespace Blanket.Cli.Commands;

/// <summary>Arguments and options that <c>run</c> and <c>debug</c> share.</summary>
internal sealed class RunOptions
{
    private const int MaximumCpus = 255;
    private const long MaximumMemoryMiB = 1L << 24;
    private const string Kvm = "kvm";
    private const int MaximumSpareDisks = 64;
    private const string Xen = "xen";
    private const string Pvh = "pvh";
    private const string Hvm = "hvm";
    private const string Direct = "direct";
    private const string Bios = "bios";
    private const string Uefi = "uefi";

    private readonly Argument<string[]> _guests = new("GUEST.cfg")
    {
        Description = "Guest configurations in xl.cfg(5) syntax. None: a small guest with Debian's kernel, made from Debian packages.",
        Arity = ArgumentArity.ZeroOrMore,
    };

    private readonly Option<string> _l0 = new("--l0")
    {
        Description = "What the provider runs: kvm (virtio devices), or xen (Debian's stock Xen 4.17 with its PV devices, software emulation).",
        DefaultValueFactory = _ => Kvm,
    };

    private readonly Option<string?> _l0Mode = new("--l0-mode")
    {
        Description = "How Xen runs the L0 machine: pvh (default), or hvm (GRUB from a disk, emulated devices).",
    };

    private readonly Option<long?> _memory = new("--memory") { Description = "Memory of the L0 machine (default: what the guests need).", HelpName = "MIB" };

    private readonly Option<string> _memoryPolicy = new("--memory-policy")
    {
        Description = "What is done when a guest needs more memory than is free: manual (it is refused), or share (others shrink towards their memory_min).",
        DefaultValueFactory = _ => MemoryPolicyCommand.Names[0],
    };

    private readonly Option<int> _cpus = new("--cpus") { Description = "CPUs of the L0 machine.", HelpName = "N", DefaultValueFactory = _ => 1 };

    private readonly Option<string> _machine = new("--machine") { Description = "QEMU's machine type.", DefaultValueFactory = _ => "q35" };

    private readonly Option<string> _boot = new("--boot")
    {
        Description = "How the L0 machine boots: direct (QEMU loads blanket.elf), or GRUB from a disk that bios or uefi starts.",
        DefaultValueFactory = _ => Direct,
    };

    private readonly Option<string[]> _forwards = new("--forward")
    {
        Description = "Lead a TCP port of this host to a guest; HOSTPORT:ADDRESS:GUESTPORT for one that was not first to ask for an address.",
        HelpName = "HOSTPORT:GUESTPORT",
        DefaultValueFactory = _ => [],
    };

    private readonly Option<string[]> _qemuArguments = new("--qemu-arg")
    {
        Description = "A further argument for QEMU (repeatable; --qemu-arg=-x when it starts with a dash).",
        HelpName = "ARG",
        DefaultValueFactory = _ => [],
    };

    private readonly Option<string> _options = new("--options") { Description = "Options for Blanket itself.", HelpName = "TEXT", DefaultValueFactory = _ => string.Empty };

    private readonly Option<string?> _name = new("--name") { Description = "Name that list, stop and the other commands find the run by (default: blanket, blanket-2, ...).", HelpName = "NAME" };

    private readonly Option<bool> _stay = new("--stay") { Description = "Go on when no guest is left: others may be started." };

    private readonly Option<int> _spareDisks = new("--spare-disks")
    {
        Description = "Disk devices for guests that are started while Blanket runs.",
        HelpName = "N",
        DefaultValueFactory = _ => 4,
    };

    private readonly Option<int> _spareReadOnlyDisks = new("--spare-read-only-disks") { Description = "The same, for disks that are read only.", HelpName = "N", DefaultValueFactory = _ => 1 };

    internal RunOptions()
    {
        _memory.Validators.Add(result => RequireRange(result, 16, MaximumMemoryMiB));
        _spareDisks.Validators.Add(result => RequireRange(result, 0, MaximumSpareDisks));
        _spareReadOnlyDisks.Validators.Add(result => RequireRange(result, 0, MaximumSpareDisks));
        _cpus.Validators.Add(result => RequireRange(result, 1, MaximumCpus));
        _machine.AcceptOnlyFromAmong("q35", "pc");
        _l0.AcceptOnlyFromAmong(Kvm, Xen);
        _memoryPolicy.AcceptOnlyFromAmong(MemoryPolicyCommand.Names);
        _boot.AcceptOnlyFromAmong(Direct, Bios, Uefi);
        _l0Mode.AcceptOnlyFromAmong(Pvh, Hvm);
        _forwards.Validators.Add(RequireForwards);
    }

    /// <summary>Adds everything to a command.</summary>
    internal void AddTo(Command command)
    {
        command.Add(_guests);
        Option[] all = [_l0, _l0Mode, _memory, _memoryPolicy, _cpus, _machine, _boot, _forwards, _qemuArguments, _options, _name, _stay, _spareDisks, _spareReadOnlyDisks];
        foreach (Option option in all)
        {
            command.Add(option);
        }
    }

    /// <summary>What the user gave.</summary>
    internal RunSettings Read(ParseResult arguments) => new()
    {
        Guests = arguments.GetValue(_guests) ?? [],
        Xen = ReadXen(arguments),
        MemoryMiB = arguments.GetValue(_memory),
        MemoryPolicy = arguments.GetRequiredValue(_memoryPolicy),
        Cpus = arguments.GetValue(_cpus),
        MachineType = arguments.GetRequiredValue(_machine),
        Firmware = ReadFirmware(arguments),
        Forwards = [.. arguments.GetRequiredValue(_forwards).Select(text => PortForward.TryParse(text)!)],
        QemuArguments = arguments.GetRequiredValue(_qemuArguments),
        Options = arguments.GetRequiredValue(_options),
        Name = arguments.GetValue(_name),
        Stay = arguments.GetValue(_stay),
        SpareDisks = arguments.GetRequiredValue(_spareDisks),
        SpareReadOnlyDisks = arguments.GetRequiredValue(_spareReadOnlyDisks),
    };

    /// <summary>How Xen runs the machine; null when it is not Xen that does.</summary>
    private XenDomainType? ReadXen(ParseResult arguments)
    {
        string? mode = arguments.GetValue(_l0Mode);
        if (arguments.GetRequiredValue(_l0) == Xen)
        {
            return mode == Hvm ? XenDomainType.Hvm : XenDomainType.Pvh;
        }

        return mode is null ? null : throw new InputException("--l0-mode goes with --l0 xen");
    }

    private Firmware ReadFirmware(ParseResult arguments)
    {
        Firmware firmware = arguments.GetRequiredValue(_boot) switch
        {
            Bios => Firmware.Bios,
            Uefi => Firmware.Uefi,
            _ => Firmware.None,
        };
        return firmware == Firmware.None || arguments.GetRequiredValue(_l0) == Kvm
            ? firmware
            : throw new InputException("--boot goes with --l0 kvm; --l0-mode says how Xen boots the L0 machine");
    }

    /// <summary>Refuses a number outside a range; what is no number is refused by the parser itself.</summary>
    internal static void RequireRange(OptionResult result, long minimum, long maximum)
    {
        foreach (Token token in result.Tokens)
        {
            bool isNumber = long.TryParse(token.Value, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out long value);
            if (isNumber && (value < minimum || value > maximum))
            {
                result.AddError($"{result.IdentifierToken?.Value} {token.Value}, expected a number from {minimum} to {maximum}");
            }
        }
    }

    private static void RequireForwards(OptionResult result)
    {
        foreach (Token token in result.Tokens.Where(token => PortForward.TryParse(token.Value) is null))
        {
            result.AddError($"--forward {token.Value}, expected HOSTPORT:GUESTPORT or HOSTPORT:ADDRESS:GUESTPORT with ports from 1 to 65535");
        }
    }
}
