using System;
using System.Collections.Generic;

namespace Blanket.Cli.Running;

/// <summary>What a key is for.</summary>
internal enum KeyAction
{
    /// <summary>The guest's.</summary>
    Send,

    /// <summary>Show another console.</summary>
    Switch,

    /// <summary>Show the next console.</summary>
    Next,

    /// <summary>End the run.</summary>
    Leave,

    /// <summary>Say what the keys are.</summary>
    Help,
}

/// <summary>A key with its meaning; <paramref name="Value"/> is the byte to send or the console's number.</summary>
internal readonly record struct KeyCommand(KeyAction Action, byte Value = 0);

/// <summary>Tells the keys that are for the guest from those that are for the command: the ones after Ctrl-].</summary>
internal sealed class KeyInterpreter
{
    /// <summary>Ctrl-], as telnet and virsh use it.</summary>
    internal const byte Escape = 0x1D;

    /// <summary>What the keys are.</summary>
    internal const string Help = "Ctrl-] then: 0 Blanket's log, 1-9 a guest's console, n the next console, q end the run, ] send Ctrl-], ? this help";

    private bool _escaped;

    /// <summary>The meaning of keys.</summary>
    internal IReadOnlyList<KeyCommand> Interpret(ReadOnlySpan<byte> keys)
    {
        List<KeyCommand> commands = [];
        foreach (byte key in keys)
        {
            if (_escaped)
            {
                _escaped = false;
                commands.Add(AfterEscape(key));
            }
            else if (key == Escape)
            {
                _escaped = true;
            }
            else
            {
                commands.Add(new KeyCommand(KeyAction.Send, key));
            }
        }

        return commands;
    }

    private static KeyCommand AfterEscape(byte key) => key switch
    {
        >= (byte)'0' and <= (byte)'9' => new KeyCommand(KeyAction.Switch, (byte)(key - '0')),
        (byte)'n' => new KeyCommand(KeyAction.Next),
        (byte)'q' => new KeyCommand(KeyAction.Leave),
        (byte)']' or Escape => new KeyCommand(KeyAction.Send, Escape),
        _ => new KeyCommand(KeyAction.Help),
    };
}
