namespace Slimming.Demo;

/// <summary>Everything that is drawn: what the embedded model learns first, what it learns later, and what it is asked.</summary>
public sealed class Corpus
{
    public const ulong Seed = 20260;

    private const int EvaluationItems = 200;

    public Corpus(int pretrainingRows = 40_000, int tuningRows = 2_000)
    {
        World = new World(Seed);
        // The held-out items are drawn first, so that they do not depend on how much training data is asked for.
        var taken = new HashSet<string>(StringComparer.Ordinal);
        ReverseEvaluation = Skills.Fresh(Skills.Reverse, EvaluationItems, new Draws(Seed + 1), taken);
        LargerEvaluation = Skills.Fresh(Skills.Larger, EvaluationItems, new Draws(Seed + 2), taken);
        FollowingEvaluation = Skills.Fresh(Skills.Following, EvaluationItems, new Draws(Seed + 3), taken);
        FollowingTraining = Skills.Fresh(Skills.Following, tuningRows, new Draws(Seed + 4), [.. taken]);
        FactEvaluation = FactItems(new Draws(Seed + 5));
        Pretraining = Mix(pretrainingRows, new Draws(Seed + 6), taken);
        Prose = Stories(new Draws(Seed + 7));
    }

    public World World { get; }

    public List<Exchange> ReverseEvaluation { get; }

    public List<Exchange> LargerEvaluation { get; }

    public List<Exchange> FollowingEvaluation { get; }

    public List<Exchange> FollowingTraining { get; }

    public List<FactItem> FactEvaluation { get; }

    /// <summary>Old skills in the order of training: two fifths reversal, two fifths facts, one fifth comparison.</summary>
    public List<Exchange> Pretraining { get; }

    /// <summary>Running text for the language-modelling part of pre-training.</summary>
    public List<string> Prose { get; }

    /// <summary>Sentences about the same people in the one form per person that pre-training leaves out.</summary>
    public List<string> ProseEvaluation() => [.. Enumerable.Range(0, World.People.Count).Select(World.EvaluationProse)];

    private List<FactItem> FactItems(Draws draws)
    {
        var items = new List<FactItem>();
        for (var i = 0; i < World.Facts.Count; i++)
        {
            var fact = World.Facts[i];
            var others = World.Values(fact.Attribute).Where(value => value != fact.Value).ToList();
            draws.Shuffle(others);
            List<string> choices = [fact.Value, .. others.Take(3)];
            draws.Shuffle(choices);
            items.Add(new FactItem(World.EvaluationQuestion(i), choices, choices.IndexOf(fact.Value)));
        }
        return items;
    }

    private List<Exchange> Mix(int rows, Draws draws, HashSet<string> taken)
    {
        var mix = new List<Exchange>(rows);
        while (mix.Count < rows)
        {
            var fact = draws.Below(World.Facts.Count);
            var item = draws.Below(5) switch
            {
                0 or 1 => Skills.Reverse(draws),
                2 or 3 => new Exchange(World.TrainingQuestion(fact, draws), World.Facts[fact].Value),
                _ => Skills.Larger(draws),
            };
            if (!taken.Contains(item.Question))
            {
                mix.Add(item);
            }
        }
        return mix;
    }

    private List<string> Stories(Draws draws)
    {
        var stories = new List<string>();
        for (var i = 0; i < 1_500; i++)
        {
            stories.Add(
                string.Join(
                    ' ',
                    Enumerable.Range(0, 3).Select(_ => World.TrainingProse(draws.Below(World.People.Count), draws))
                )
            );
        }
        return stories;
    }
}

/// <summary>A question with four answers, of which <paramref name="Gold"/> (from 0) is right.</summary>
public sealed record FactItem(string Question, IReadOnlyList<string> Choices, int Gold);
