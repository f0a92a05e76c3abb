using System;
using Spectre.Console;

namespace Blanket.Cli;

/// <summary>What the command says while it works: standard output for results, standard error for warnings and errors.</summary>
internal sealed class Report
{
    /// <summary>Nothing is wrapped where no person reads along.</summary>
    private const int RedirectedWidth = 500;

    private readonly IAnsiConsole _output = AnsiConsole.Console;

    private readonly IAnsiConsole _error = AnsiConsole.Create(new AnsiConsoleSettings { Out = new AnsiConsoleOutput(Console.Error) });

    internal Report()
    {
        if (Console.IsOutputRedirected)
        {
            _output.Profile.Width = RedirectedWidth;
        }
    }

    /// <summary>A step that takes a while.</summary>
    internal void Step(string text) => Write(_output, "blue", "::", text);

    /// <summary>A fact or result.</summary>
    internal void Line(string text) => _output.Profile.Out.Writer.WriteLine(text);

    /// <summary>Something that the user may want to change.</summary>
    internal void Warning(string text) => Write(_error, "yellow", "warning:", text);

    /// <summary>Why the command failed.</summary>
    internal void Error(string text) => Write(_error, "red", "error:", text);

    /// <summary>A table or other drawing.</summary>
    internal void Draw(Spectre.Console.Rendering.IRenderable drawing) => _output.Write(drawing);

    /// <summary>Writes a coloured word and plain text; not wrapped, so that programs find one message on one line.</summary>
    private static void Write(IAnsiConsole console, string colour, string word, string text)
    {
        console.Markup($"[{colour}]{word}[/] ");
        console.Profile.Out.Writer.WriteLine(text);
    }
}
