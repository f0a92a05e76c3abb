using System;

namespace Blanket.Lab.Configuration;

/// <summary>Something that the user gave is wrong; nothing was done with it. The message is complete and fit to be shown.</summary>
public sealed class InputException : Exception
{
    /// <summary>An error without a place in a file.</summary>
    public InputException(string message)
        : base(message)
    {
    }

    /// <summary>An error at a line of a file: <c>FILE:LINE: message</c>.</summary>
    public InputException(SourceLine source, string message)
        : base($"{source}: {message}")
    {
    }
}

/// <summary>A line of a file that the user wrote; lines count from 1.</summary>
public readonly record struct SourceLine(string File, int Line)
{
    /// <inheritdoc/>
    public override string ToString() => $"{File}:{Line}";
}
